package logging

import (
	"reflect"
	"strings"
	"testing"
)

// TestTemplate: a template is text and fields that are known; what is neither is refused
// with the list of those that there are.
func TestTemplate(t *testing.T) {
	for s, want := range map[string][]Part{
		"{client} {status}":          {{Field: "client"}, {Text: " "}, {Field: "status"}},
		"a{{b}}{head}{phases.queue}": {{Text: "a{b}"}, {Field: "phases.head"}, {Field: "phases.queue"}},
		"{tls.version}{total_ms}!":   {{Field: "tls.version"}, {Field: "total_ms"}, {Text: "!"}},
		"{phases.tls}":               {{Field: "phases.tls"}},
	} {
		if got, f := Template(s); f != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v, want %v", s, got, f, want)
		}
	}
	for s, want := range map[string]string{
		"{client": `"{{"`, "{client}}": `"}}"`, "{tls}": "tls.version", "{}": "request_id", "{password}": "request_id",
		"": "json", "clf": "combined", "{client}\n": "control", strings.Repeat("{client}", 200): "at most",
	} {
		if f := CheckFormat(s); f == nil || !strings.Contains(f.What+f.Hint, want) {
			t.Errorf("%q: %+v, want a flaw with %s", s, f, want)
		}
	}
}

// FuzzTemplate: no template makes the reading panic, and its parts are again what was read.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{client} {{x}} {status}", "{", "}", "{{}", "{phases.head}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, flaw := Template(s)
		if flaw != nil {
			return
		}
		again := ""
		for _, p := range parts {
			if p.Field != "" {
				again += "{" + p.Field + "}"
			} else {
				again += strings.NewReplacer("{", "{{", "}", "}}").Replace(p.Text)
			}
		}
		if got, flaw := Template(again); flaw != nil || !reflect.DeepEqual(got, parts) {
			t.Errorf("%q has the parts %v, and %q %v", s, parts, again, got)
		}
	})
}

// TestKeys: what each key refuses.
func TestKeys(t *testing.T) {
	for s, good := range map[string]bool{
		"": true, "-": true, "/var/log/lb.log": true, "syslog:unix:/dev/log": true, "syslog:unix:": false, "syslog:udp:127.0.0.1": false, "a\x00b": false,
	} {
		if f := checkPath(s); (f == nil) != good {
			t.Errorf("path %q: %v", s, f)
		}
	}
	for s, good := range map[string]bool{
		"": true, "http://127.0.0.1:4318": true, "https://c/v1/traces": true, "c:4318": false, "grpc://c:4317": false, "http://u:p@c": false, "http://": false,
	} {
		if f := checkEndpoint(s); (f == nil) != good {
			t.Errorf("endpoint %q: %v", s, f)
		}
	}
	for s, good := range map[string]bool{
		"": true, "X-Request-ID": true, "x-trace": true, "Via": false, "Content-Length": false, "a b": false, "Host": false, strings.Repeat("a", 65): false,
	} {
		if f := CheckRequestID(s); (f == nil) != good {
			t.Errorf("request_id %q: %v", s, f)
		}
	}
}
