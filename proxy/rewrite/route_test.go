package rewrite

import (
	"testing"

	"lb/config"
	"lb/httpparse"
)

// TestNewRoute: Host is set apart from the other request fields, and a redirect keeps the
// fields that lb writes itself. A field with an empty value is only removed.
func TestNewRoute(t *testing.T) {
	set := []config.Field{{Name: "content-type", Value: "c"}, {Name: "DATE", Value: "d"}, {Name: "Host", Value: "h"}, {Name: "Location", Value: "l"}, {Name: "X", Value: ""}}
	lines := "content-type: c\r\nDATE: d\r\nHost: h\r\nLocation: l\r\n"
	for _, tc := range []struct {
		name                    string
		cfg                     config.Route
		host, request, response string
		dated                   bool
	}{
		{"nothing", config.Route{}, "", "", "", false},
		{"request", config.Route{SetRequestHeaders: set}, "h", "content-type: c\r\nDATE: d\r\nLocation: l\r\n", "", false},
		{"response", config.Route{SetResponseHeaders: set}, "", "", lines, true},
		{"response without Date", config.Route{SetResponseHeaders: set[3:]}, "", "", "Location: l\r\n", false},
		{"redirect", config.Route{Pool: -1, SetResponseHeaders: set}, "", "", "Host: h\r\n", false},
	} {
		r := NewRoute(&tc.cfg, false, &Tags{})
		if r.host != tc.host || string(r.request) != tc.request || string(r.response) != tc.response || r.dated != tc.dated {
			t.Errorf("%s: host %q, request %q, response %q, dated %t", tc.name, r.host, r.request, r.response, r.dated)
		}
		if n, most := max(len(r.request)+len(r.host), len(r.response)), RoutesBytes([]config.Route{{}, tc.cfg}); n > most {
			t.Errorf("%s: adds %d bytes, RoutesBytes says %d", tc.name, n, most)
		}
	}
}

// TestAppendLines: the lines of the route replace the fields of the response.
func TestAppendLines(t *testing.T) {
	for _, tc := range []struct {
		set         []config.Field
		want, field string // field is the value of X-A that is left
		dated       bool
	}{
		{nil, "before ", "1", false},
		{[]config.Field{{Name: "x-a", Value: "2"}}, "before x-a: 2\r\n", "", false},
		{[]config.Field{{Name: "x-a", Value: ""}, {Name: "date", Value: ""}}, "before ", "", false},
		{[]config.Field{{Name: "Date", Value: "d"}, {Name: "X-B", Value: "2"}}, "before Date: d\r\nX-B: 2\r\n", "1", true},
	} {
		r := NewRoute(&config.Route{SetResponseHeaders: tc.set}, false, &Tags{})
		m, text := parseResponse(t, "X-A: 1\r\n")
		lines, dated := r.AppendLines([]byte("before "), text, m)
		if string(lines) != tc.want || dated != tc.dated {
			t.Errorf("%v: %q, dated %t; want %q, %t", tc.set, lines, dated, tc.want, tc.dated)
		}
		left := ""
		if tc.field != "" {
			left = "X-A: " + tc.field + "\r\n"
		}
		if got := string(httpparse.AppendFields(nil, text, m, 0)); got != left {
			t.Errorf("%v: the response keeps %q, want %q", tc.set, got, left)
		}
	}
}

// TestURI: no target becomes the name of another host.
func TestURI(t *testing.T) {
	for target, want := range map[string]string{
		"/a?b": "/a?b", "//a": "/a", "/\\a": "/%5Ca", "*": "", "?a": "/?a", "/": "/",
	} {
		if got := uri([]byte(target)); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// TestAppendRedirect: where counts the Location line alone, and {uri} never begins with two
// slashes.
func TestAppendRedirect(t *testing.T) {
	for _, tc := range []struct {
		name, to, line, want string
	}{
		{"no placeholders", "/new", "GET /old?q HTTP/1.1", "Location: /new"},
		{"both placeholders", "https://{host}{uri}", "GET /a?b=c HTTP/1.1", "Location: https://a/a?b=c"},
		{"http keeps the port", "http://{host}/x", "GET / HTTP/1.1", "Location: http://a:80/x"},
		{"two slashes first", "{uri}", "GET //evil.example/x HTTP/1.1", "Location: /evil.example/x"},
		{"scheme in capitals", "HTTPS://{host}{uri}", "GET /a HTTP/1.1", "Location: HTTPS://a/a"},
		{"address", "https://{host}{uri}", "GET http://[::1]:8080/a HTTP/1.1", "Location: https://[::1]/a"},
		{"a backslash, which browsers read as a slash", "{uri}", "GET /\\evil.example/x HTTP/1.1", "Location: /%5Cevil.example/x"},
		{"what no URI has", "{uri}", "GET /a?\"<|>%zz%41% HTTP/1.1", "Location: /a?%22%3C%7C%3E%25zz%41%25"},
		{"asterisk", "https://{host}{uri}", "OPTIONS * HTTP/1.1", "Location: https://a"},
		{"absolute form", "https://{host}{uri}", "GET http://b HTTP/1.1", "Location: https://b/"},
	} {
		r := NewRoute(&config.Route{Pool: -1, Redirect: config.Redirect{To: tc.to, Code: 308}, SetResponseHeaders: []config.Field{{Name: "X", Value: "y"}}}, false, &Tags{})
		head := tc.line + "\r\nHost: a:80\r\n\r\n"
		got, where := r.AppendRedirect([]byte("before "), []byte(head), parse(t, head), false)
		if want := "before " + tc.want + "\r\nX: y\r\n"; string(got) != want || where != len(tc.want) {
			t.Errorf("%s: %q, where %d; want %q, %d", tc.name, got, where, want, len(tc.want))
		}
	}
}

// TestStrip: the prefix is taken off in whatever spelling it stands, with the query kept,
// and a path that leads out of it is not taken.
func TestStrip(t *testing.T) {
	for _, tc := range []struct {
		prefix, path, want string // want "" if the route cannot take it
	}{
		{"/api", "/api/x?y", "/x?y"},
		{"/api", "/api", "/"},
		{"/api", "/api?y=/z", "/?y=/z"},
		{"/api/", "/api/x", "/x"},
		{"/api", "/api//x", "/x"},
		{"/api", "/api/a%2Fb/./c", "/a%2Fb/./c"},
		{"/api", "/api/a/../b", "/a/../b"},
		{"/api", "//api/a%2fb?//", "/a%2Fb?//"},
		{"/api", "/x/../%61pi/b", "/b"},
		{"/api", "/api/../x", ""},
		{"/api", "/api/..", ""},
		{"/api/", "/api/../x", ""},
		{"/api", "/api/a/../../x", ""},
		{"/api", "/api/..%2fx", ""},
		{"/api", "/api/..;/x", ""},
		{"/api", "/api%2fx", ""},
	} {
		r := NewRoute(&config.Route{Path: tc.prefix, StripPrefix: true}, false, &Tags{})
		scratch := make([]byte, 0, 3*len(tc.path))
		if got := r.Strips(scratch, []byte(tc.path)); got != (tc.want != "") {
			t.Errorf("%s off %s: %v", tc.prefix, tc.path, got)
			continue
		}
		if tc.want == "" {
			continue
		}
		head := "GET " + tc.path + " HTTP/1.1\r\nHost: a\r\n\r\n"
		m := Request{Message: parse(t, head), Text: []byte(head), Route: &r}
		if got := string(m.appendTarget(nil)); got != tc.want {
			t.Errorf("%s off %s: %s, want %s", tc.prefix, tc.path, got, tc.want)
		}
	}
}
