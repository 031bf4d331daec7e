package entry

import (
	"strings"
	"testing"

	"lb/config"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]config.Backend{
		`{"host":"10.0.0.1","port":80}`:                        {Host: "10.0.0.1", Port: 80, Weight: 1},
		`{"address":"10.0.0.1:80","weight":7}`:                 {Host: "10.0.0.1", Port: 80, Weight: 7},
		`{"address":"[::1]:80"}`:                               {Host: "::1", Port: 80, Weight: 1},
		` {"host":"a.test","port":443} ` + "\n":                {Host: "a.test", Port: 443, Weight: 1, TLS: true},
		`{"host":"a.test","port":443,"tls":false}`:             {Host: "a.test", Port: 443, Weight: 1},
		`{"address":"https://a.test"}`:                         {Host: "a.test", Port: 443, Weight: 1, TLS: true},
		`{"socket":"/run/a.sock","backup":true,"drain":true}`:  {Socket: "/run/a.sock", Weight: 1, Backup: true, Drain: true},
		`{"host":"a","port":1,"max_connections":3,"tls":true}`: {Host: "a", Port: 1, Weight: 1, MaxConnections: 3, TLS: true},
	} {
		got, err := Parse([]byte(in))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:                                  "is empty",
		`   `:                               "is empty",
		`{"host":"a","port":`:               "cut off",
		`{"host":"a","port":1} {}`:          "follows",
		`[]`:                                "an array, not an object",
		`"a"`:                               "a string, not an object",
		`null`:                              "says not where",
		`host=a`:                            "not JSON",
		`{}`:                                "says not where",
		`{"host":"a"}`:                      "no port",
		`{"port":1}`:                        "no host",
		`{"host":"a","port":0}`:             "port 0 is out of range",
		`{"host":"a","port":70000}`:         "port 70000 is out of range",
		`{"host":"a","port":"80"}`:          "port is a string; write a whole number",
		`{"host":"a","port":8.5}`:           "port is 8.5; write a whole number",
		`{"host":1,"port":8}`:               "host is a number; write a text",
		`{"host":"","port":8}`:              "host is empty",
		`{"host":"300.1.1.1","port":8}`:     "not an IP address",
		`{"host":"a","port":1,"weight":0}`:  "weight 0 is out of range",
		`{"host":"a","port":1,"wieght":2}`:  `did you mean "weight"?`,
		`{"host":"a","port":1,"zone":"x"}`:  `unknown key "zone"`,
		`{"host":"a","address":"b:1"}`:      "both address and host",
		`{"address":"a"}`:                   "is not host:port",
		`{"host":"a","port":1,"tls":"yes"}`: "true or false",
		`{"host":"a","port":1,"max_connections":-1}`: "max_connections -1",
	} {
		if b, err := Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", in, b, err, want)
		}
	}
}

func TestParseList(t *testing.T) {
	good, bad, err := ParseList([]byte(`[{"address":"10.0.0.1:1"},{"host":"a"},{"address":"10.0.0.2:2"}]`))
	if err != nil || len(good) != 2 || good[1].Port != 2 || len(bad) != 1 || !strings.HasPrefix(bad[0].Error(), "entry 2: has no port") {
		t.Errorf("%v, %v, %v", good, bad, err)
	}
	if good, bad, err := ParseList([]byte(`[]`)); err != nil || len(good)+len(bad) != 0 {
		t.Errorf("%v, %v, %v", good, bad, err)
	}
	for in, want := range map[string]string{`{}`: "no list", `null`: "no list", `[{"a":`: "not JSON", ``: "is empty"} {
		if _, _, err := ParseList([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", in, err, want)
		}
	}
}

// What is read is a backend that a file could have.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"host":"10.0.0.1","port":80}`, `{"address":"[::1]:80","weight":7}`, `{"socket":"/a","tls":true}`, `[]`, `{"port":-1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		if b.Socket == "" && (b.Host == "" || b.Port < 1 || b.Port > 65535) || b.Weight < 1 || b.Weight > config.WeightMax || b.MaxConnections < 0 {
			t.Errorf("%+v", b)
		}
		if again, err := config.ParseBackend(b.String()); err != nil || config.Identity(again) != config.Identity(b) {
			t.Errorf("%+v is not read again: %+v, %v", b, again, err)
		}
	})
}
