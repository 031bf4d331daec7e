package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseBackend(t *testing.T) {
	for in, want := range map[string]Backend{
		"127.0.0.1:9001":   {Host: "127.0.0.1", Port: 9001, Weight: 1},
		"localhost:1":      {Host: "localhost", Port: 1, Weight: 1},
		"my_app.local:80":  {Host: "my_app.local", Port: 80, Weight: 1},
		"[::1]:65535":      {Host: "::1", Port: 65535, Weight: 1},
		"a:443":            {Host: "a", Port: 443, Weight: 1, TLS: true},
		"[fe80::1%eth0]:1": {Host: "fe80::1%eth0", Port: 1, Weight: 1},
		"unix:/run/a.sock": {Socket: "/run/a.sock", Weight: 1},
	} {
		got, err := ParseBackend(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%s: %+v, %v; want %+v, and the same text again", in, got, err, want)
		}
	}
	for in, want := range map[string]Backend{
		"https://a": {Host: "a", Port: 443}, "HTTPS://a/": {Host: "a", Port: 443}, "https://a:8443": {Host: "a", Port: 8443},
		"https://[::1]": {Host: "::1", Port: 443}, "https://[::1]:1/": {Host: "::1", Port: 1},
	} {
		want.Weight, want.TLS = 1, true
		if got, err := ParseBackend(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                  `"" is not host:port, [v6]:port, unix:/path or https://host; write ":80", with the port it listens on`,
		"localhost":         `"localhost" is not host:port, [v6]:port, unix:/path or https://host; write "localhost:80", with the port it listens on`,
		"::1:9001":          `"::1:9001" is not host:port, [v6]:port, unix:/path or https://host; put an IPv6 address in brackets, such as "[::1]:9001"`,
		"/run/a.sock":       `"/run/a.sock" is not host:port, [v6]:port, unix:/path or https://host; write "unix:/run/a.sock"`,
		"http://a:80":       `"http://a:80" is not host:port, [v6]:port, unix:/path or https://host; write "a:80"`,
		"https://a/b":       `"https://a/b" is not host:port, [v6]:port, unix:/path or https://host; write "https://" and a host, with :port if need be, and no path`,
		"https://":          `is empty; write a name or an IP address`,
		"https://a:b":       `"b" is not a port; use 1 to 65535`,
		"unix:":             `is empty; write the path of a unix socket`,
		":80":               `is empty; write a name or an IP address`,
		"a:":                `"" is not a port; use 1 to 65535`,
		"a:http":            `"http" is not a port; use 1 to 65535`,
		"a:0":               `"0" is not a port; use 1 to 65535`,
		"a:65536":           `"65536" is not a port; use 1 to 65535`,
		"a:+1":              `"+1" is not a port; use 1 to 65535`,
		"a b:1":             `"a b" is neither a name nor an IP address; write one of them`,
		"256.0.0.1:1":       `"256.0.0.1" is not an IP address; write four numbers from 0 to 255, or a name`,
		"a:80,weight=2":     `"80,weight=2" is not a port; use 1 to 65535`,
		"unix:/a\x00b":      `has a zero byte in it; write a path`,
		"[127.0.0.1]:1:2":   `"[127.0.0.1]:1:2" is not host:port, [v6]:port, unix:/path or https://host; put an IPv6 address in brackets, such as "[::1]:9001"`,
		"unix:" + long(104): `is 104 bytes long; use a path of at most 103 bytes`,
	} {
		_, err := ParseBackend(in)
		var one *Error
		if !errors.As(err, &one) || err.Error() != "--backend: "+want {
			t.Errorf("%q:\n got %v\nwant --backend: %s", in, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func TestFlagsWin(t *testing.T) {
	file, err := Parse("f", []byte("port = 1\nmode = \"mp\"\n[[backends]]\nhost = \"a\"\nport = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	before := *file
	mode, host, strategy, level, pid, workers, port := "mt", "::1", P2C, "warn", "/run/p", 2, 0
	got, err := file.With(Flags{
		Mode: &mode, Host: &host, Strategy: &strategy, LogLevel: &level, PIDFile: &pid, Workers: &workers, Port: &port,
		Backends: []string{"b:2", "unix:/c"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := *bare(file)
	want.Mode, want.Host, want.LogLevel, want.PIDFile, want.Workers, want.Port = MT, "::1", "warn", "/run/p", 2, 0
	want.Pools = []Pool{poolOf(DefaultPool, Backend{Host: "b", Port: 2, Weight: 1}, Backend{Socket: "/c", Weight: 1})}
	want.Pools[0].Strategy = P2C
	if !reflect.DeepEqual(bare(got), &want) {
		t.Errorf("got\n%+v, want\n%+v", got, &want)
	}
	if !reflect.DeepEqual(*file, before) || file.Pools[0].Backends[0].Host != "a" {
		t.Errorf("With changed the configuration it was given: %+v", file)
	}
	if same, err := file.With(Flags{}); err != nil || !reflect.DeepEqual(bare(same), bare(file)) {
		t.Errorf("no flags: %+v, %v; want no change", same, err)
	}
}

func TestFlagErrors(t *testing.T) {
	text, number := "x y", -1
	_, err := Default().With(Flags{
		Mode: &text, Host: &text, Strategy: &text, LogLevel: &text, Workers: &number, Port: &number,
		Backends: []string{"a:1", "b", "A:1"},
	})
	want := []string{
		`--mode: there is no mode "x y"; use "mp", "mt"`,
		`--workers: -1 is out of range; use 0 to 1024`,
		`--port: -1 is out of range; use 0 to 65535`,
		`--host: "x y" is neither a name nor an IP address; write one of them`,
		`--strategy: there is no strategy "x y"; use "round_robin", "random", "least_conn", "p2c", "least_time", "hash"`,
		`--log-level: there is no log level "x y"; use "debug", "info", "warn", "error"`,
		`--backend: "b" is not host:port, [v6]:port, unix:/path or https://host; write "b:80", with the port it listens on`,
		`--backend: A:1 is there already, as number 1; remove one; weight gives a backend more requests`,
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
}
