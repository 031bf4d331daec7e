package redact

import "testing"

func TestSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"Authorization": true, "X-Api-Key": true, "cookie": true, "Set-Cookie": true, "x-auth-token": true,
		"Accept": false, "X-User": false, "": false,
	} {
		if got := Secret(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

func TestWholeURL(t *testing.T) {
	for in, want := range map[string]string{
		"/a?b=c":                          "/a?b=c",
		"/a?token=x&b=c&api_key=y":        "/a?token=***&b=c&api_key=***",
		"http://user:pw@a.test/x":         "http://***@a.test/x",
		"":                                "",
		"/%74oken=1":                      "/%74oken=***",
		"http://127.0.0.1:4318/v1/traces": "http://127.0.0.1:4318/v1/traces",
	} {
		if got := URL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
