package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseEntry(t *testing.T) {
	for in, want := range map[string]Backend{
		`{"host":"10.0.0.1","port":80}`:                             {Host: "10.0.0.1", Port: 80, Weight: 1},
		`{"address":"10.0.0.1:80","weight":7}`:                      {Host: "10.0.0.1", Port: 80, Weight: 7},
		`{"address":"[::1]:80"}`:                                    {Host: "::1", Port: 80, Weight: 1},
		"\xef\xbb\xbf {\"host\":\"a.test\",\"port\":443} \n":        {Host: "a.test", Port: 443, Weight: 1, TLS: true},
		`{"host":"a.test","port":443,"tls":false}`:                  {Host: "a.test", Port: 443, Weight: 1},
		`{"address":"https://a.test"}`:                              {Host: "a.test", Port: 443, Weight: 1, TLS: true},
		`{"tls":false,"address":"https://a.test"}`:                  {Host: "a.test", Port: 443, Weight: 1},
		`{"address":"unix:/run/a.sock"}`:                            {Socket: "/run/a.sock", Weight: 1},
		`{"socket":"/run/a.sock","backup":true,"drain":true}`:       {Socket: "/run/a.sock", Weight: 1, Backup: true, Drain: true},
		`{"host":"\u0061","port":1,"max_connections":3,"tls":true}`: {Host: "a", Port: 1, Weight: 1, MaxConnections: 3, TLS: true},
		"{\n\t\"port\" : 8080 ,\r\n\t\"host\" : \"::1\"\n}":         {Host: "::1", Port: 8080, Weight: 1},
	} {
		got, err := ParseEntry("web", []byte(in))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseEntryRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:                          "web:1:1: is empty; write {",
		`   `:                       "is empty",
		`{"host":"a","port":`:       "is cut off",
		`{"host":"a","port":1} {}`:  "web:1:23: is not JSON",
		`[]`:                        "must be an object, not a list; write {",
		`"a"`:                       "must be an object, not text",
		`null`:                      "must be an object, not null",
		`host = "a"`:                "is not JSON",
		`{}`:                        "says not where it is",
		`{"host":"a"}`:              "has no port; add \"port\": 80",
		`{"port":1}`:                "has no host; add \"host\": \"127.0.0.1\"",
		`{"host":"a","port":0}`:     "web:1:20: port: 0 is out of range; use 1 to 65535",
		`{"host":"a","port":70000}`: "port: 70000 is out of range",
		`{"host":"a","port":99999999999999999999}`:   "port: must be a whole number, not a fraction",
		`{"host":"a","port":"80"}`:                   "port: must be a whole number, not text; write 80 without quotes",
		`{"host":"a","port":8.5}`:                    "port: must be a whole number, not a fraction",
		`{"host":"a","port":null}`:                   "port: must be a whole number, not null",
		`{"host":1,"port":8}`:                        "host: must be text, not a number",
		`{"host":"","port":8}`:                       "host: is empty",
		`{"host":"300.1.1.1","port":8}`:              "not an IP address",
		`{"host":"a:80","port":8}`:                   `has a port in it; write "host": "a" and "port": 80`,
		`{"host":"a","port":1,"weight":0}`:           "weight: 0 is out of range",
		`{"host":"a","port":1,"weight":65536}`:       "weight: 65536 is out of range",
		`{"host":"a","port":1,"wieght":2}`:           `wieght: unknown key; did you mean "weight"?`,
		`{"host":"a","port":1,"zone":"x"}`:           "zone: unknown key; known here: address, host",
		`{"Host":"a","port":1}`:                      `Host: unknown key; did you mean "host"?`,
		`{"host":"a","host":"b","port":1}`:           "host: is given twice",
		`{"host":"a","address":"b:1"}`:               "host: is in the address already",
		`{"address":"a"}`:                            "address: \"a\" is not host:port",
		`{"address":["a:1"]}`:                        "address: must be text, not a list",
		`{"host":"a","port":1,"tls":"yes"}`:          "tls: must be true or false, not text; write true, without quotes",
		`{"host":"a","port":1,"max_connections":-1}`: "max_connections: -1 is out of range",
	} {
		b, err := ParseEntry("web", []byte(in))
		var each *Error
		if !errors.As(err, &each) || !strings.Contains(err.Error(), want) || each.Hint == "" {
			t.Errorf("%s: %+v, %v; want %q and a hint", in, b, err, want)
		}
	}
}

func TestParseEntries(t *testing.T) {
	got, err := ParseEntries("web.json", []byte("[\n {\"address\": \"10.0.0.1:1\"},\n {\"host\": \"10.0.0.2\", \"port\": 2, \"weight\": 3}\n]\n"))
	if err != nil || len(got) != 2 || got[1] != (Backend{Host: "10.0.0.2", Port: 2, Weight: 3}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseEntries("web.json", []byte(" [ ] ")); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	for in, want := range map[string]string{
		`{}`:     "web.json:1:1: must be a list, not a table; write [{",
		`null`:   "must be a list, not null",
		`[{"a":`: "web.json:1:7: is cut off",
		`[1]`:    "web.json:1:2: [0]: must be a table, not a number",
		"[{\"host\":\"a\",\"port\":1},\n {\"host\":\"a\",\n  \"port\":-1},{\"adress\":\"b:1\"}]": "web.json:3:10: [1].port: -1 is out of range",
		"[{\"host\":\"a\",\"port\":1},\n {\"address\":\"A:1\"}]":                                 "web.json:2:2: [1]: A:1 is there already, in line 1",
		"[{\"host\":\"a\",\"port\":1,\n\"port\":2}]":                                             "web.json:2:1: [0].port: is given twice",
		strings.Repeat("[", 200):                            "cut off",
		strings.Repeat("[", 200) + strings.Repeat("]", 200): "nested too deep",
	} {
		got, err := ParseEntries("web.json", []byte(in))
		if err == nil || got != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", in, got, err, want)
		}
	}
	_, err = ParseEntries("web.json", []byte(`[{"host":"a"},{"port":1}]`))
	var all Errors
	if !errors.As(err, &all) || len(all) != 2 {
		t.Errorf("%v: want both mistakes", err)
	}
}

// A text that is not accepted leads to no backend, and one that is gives such as lb.toml has;
// each mistake has a place in the text.
func FuzzParseEntries(f *testing.F) {
	for _, s := range []string{`[{"host":"10.0.0.1","port":80}]`, `[{"address":"[::1]:80","weight":7}, {"socket":"/a","tls":true}]`, `[]`, "[\n{\"port\":-1, \"x\":[{}]}\n]", `{"a":1e999}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseEntries("f", data)
		var all Errors
		if err != nil && (!errors.As(err, &all) || list != nil) {
			t.Fatalf("%v, %v", list, err)
		}
		lines := strings.Split(strings.TrimPrefix(string(data), "\xef\xbb\xbf"), "\n")
		for _, e := range all {
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len(lines[e.Line-1])+1 || e.What == "" {
				t.Errorf("%q: %+v", data, e)
			}
		}
		for _, b := range list {
			if b.Socket == "" && (b.Host == "" || b.Port < 1 || b.Port > 65535) || b.Weight < 1 || b.Weight > WeightMax || b.MaxConnections < 0 {
				t.Errorf("%+v", b)
			}
			if again, err := ParseBackend(b.String()); err != nil || Identity(again) != Identity(b) {
				t.Errorf("%+v is not read again: %+v, %v", b, again, err)
			}
		}
	})
}

// BenchmarkParseEntries reads as many backends as one file may well have.
func BenchmarkParseEntries(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, `,{"host":"10.0.%d.%d","port":8080,"weight":2}`+"\n", i/256, i%256)
	}
	data := []byte("[" + text.String()[1:] + "]")
	for b.Loop() {
		if list, err := ParseEntries("f", data); err != nil || len(list) != 10_000 {
			b.Fatal(len(list), err)
		}
	}
}
