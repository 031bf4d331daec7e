package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A page whose name was made to resolve to the address of lb (DNS rebinding) is known by the
// host it asks for.
func TestHost(t *testing.T) {
	r := newRig(t, Options{Network: overTCP("")})
	for host, want := range map[string]int{
		"127.0.0.1":              200,
		"127.0.0.1:9900":         200,
		"192.0.2.7:80":           200,
		"[::1]":                  200,
		"[::1]:9900":             200,
		"localhost":              200,
		"LocalHost:1":            200,
		"localhost.:9900":        200,
		"admin.example.com":      200,
		"ADMIN.example.com:9900": 200,
		"box":                    200,
		"box:9900":               200,
		"box.":                   200,

		"evil.example":               421,
		"evil.example:9900":          421,
		"localhost.evil.example":     421,
		"admin.example.com.evil.com": 421,
		"127.0.0.1.evil.example":     421,
		"boxer":                      421,
		"box.evil.example":           421, // a name that begins as the machine's may be anyone's
		"sub.box":                    421,
		"example.com":                421,
		"[::1].evil.example":         421,
		"127.0.0.1:9900:1":           421,
	} {
		for _, path := range []string{"/v1/status", "/v1/nothing", "/", "/v1"} {
			code := want
			if code == 200 && path != "/v1/status" {
				code = 404
			}
			if resp, body := r.ask("GET", path, "", "Host: "+host); resp.StatusCode != code || code == 421 && strings.Contains(body, "pools") {
				t.Errorf("GET %s of %s: %d %s, want %d", path, host, resp.StatusCode, body, code)
			}
		}
	}
	if asked := r.control.Asked(); strings.Count(asked, "status") != 13 {
		t.Errorf("asked was %s", asked)
	}
}

// A request of HTTP/1.0 without Host names no host of lb.
func TestNoHost(t *testing.T) {
	r := newRig(t, Options{Network: overTCP("")})
	if answer := r.speak("GET /v1/status HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.0 421 ") {
		t.Errorf("%s", answer)
	}
	u := newRig(t, Options{})
	if answer := u.speak("GET /v1/status HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.0 200 ") {
		t.Errorf("on the socket: %s", answer)
	}
}

// Monitors reach lb by any name, and ask from anywhere.
func TestMonitors(t *testing.T) {
	say := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("here")) })
	r := newRig(t, Options{Network: overTCP(""), Health: say, Ready: say, Metrics: say, Page: say})
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if resp, body := r.ask("GET", path+"?x=1", "", "Host: lb.internal", "Origin: http://a", "Sec-Fetch-Site: cross-site"); resp.StatusCode != 200 || body != "here" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := r.ask("GET", "/", "", "Host: lb.internal"); resp.StatusCode != 421 {
		t.Errorf("the page: %d", resp.StatusCode)
	}
}

// What a web page of another site has its browser send is refused, whether it reads or
// changes, even with the token.
func TestForeignPages(t *testing.T) {
	const token = "a-token-of-the-test"
	r := newRig(t, Options{Network: overTCP(token), Page: http.NotFoundHandler()})
	const jsonType, auth = "Content-Type: application/json", "Authorization: Bearer " + token
	for _, tc := range []struct {
		fields string // separated by "; "
		code   int
	}{
		{"", 200},
		{"Origin: http://localhost", 200},
		{"Origin: http://LOCALHOST", 200},
		{"Origin: https://localhost", 200},
		{"Host: localhost:9900; Origin: http://localhost:9900", 200},
		{"Sec-Fetch-Site: same-origin", 200},
		{"Sec-Fetch-Site: none", 200},

		{"Host: localhost:9900; Origin: http://localhost", 403},
		{"Origin: http://localhost:9900", 403},
		{"Origin: http://127.0.0.1", 403},
		{"Origin: http://evil.example", 403},
		{"Origin: null", 403},
		{"Origin: ", 403},
		{"Origin: http://localhost/", 403},
		{"Origin: http://evil@localhost", 403},
		{"Origin: file://localhost", 403},
		{"Origin: localhost", 403},
		{"Origin: http://localhost; Origin: http://evil.example", 403},
		{"Sec-Fetch-Site: cross-site", 403},
		{"Sec-Fetch-Site: same-site", 403},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: no-cors; Sec-Fetch-Dest: image", 403},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: iframe", 403},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: cors; Sec-Fetch-Dest: empty", 403},
	} {
		fields := append(strings.FieldsFunc(tc.fields, func(c rune) bool { return c == ';' }), jsonType, auth)
		for i, f := range fields {
			fields[i] = strings.TrimLeft(f, " ")
		}
		for _, ask := range []string{"GET /v1/status", "POST /v1/drain"} {
			method, path, _ := strings.Cut(ask, " ")
			resp, body := r.ask(method, path, map[string]string{"POST": "{}"}[method], fields...)
			if asked := r.control.Asked(); resp.StatusCode != tc.code || (asked != "") != (tc.code == 200) {
				t.Errorf("%s with %q: %d %s, asked was %q; want %d", ask, tc.fields, resp.StatusCode, body, asked, tc.code)
			}
			for name := range resp.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s with %q: %s", ask, tc.fields, name)
				}
			}
		}
	}
}

// A link to the dashboard from another site opens it; a form there does not send anything.
func TestLinks(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("page")) })
	r := newRig(t, Options{Network: overTCP("t"), Page: page})
	link := []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	if resp, body := r.ask("GET", "/", "", link...); resp.StatusCode != 200 || body != "page" || resp.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("a link: %d %s %v", resp.StatusCode, body, resp.Header)
	}
	for _, origin := range []string{"Origin: http://evil.example", "Origin: null", "X: y"} {
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
			if resp, _ := r.ask("POST", "/v1/drain", "{}", append(link, origin, "Content-Type: "+kind)...); resp.StatusCode != 403 {
				t.Errorf("a form: %d", resp.StatusCode)
			}
		}
	}
	if asked := r.control.Asked(); asked != "" {
		t.Errorf("asked was %s", asked)
	}
}

// A preflight request of CORS is refused, so a browser sends no request with a token or JSON.
func TestPreflight(t *testing.T) {
	r := newRig(t, Options{Network: overTCP("t")})
	for _, origin := range []string{"http://evil.example", "http://localhost"} {
		resp, _ := r.ask("OPTIONS", "/v1/drain", "", "Origin: "+origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, content-type")
		if resp.StatusCode < 400 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", origin, resp.StatusCode, resp.Header)
		}
	}
}

// Every endpoint for those who know the token refuses the others over TCP, and asks nothing of
// the socket.
func TestToken(t *testing.T) {
	const token = "s3cret-token"
	none, some, socket := newRig(t, Options{Network: overTCP("")}), newRig(t, Options{Network: overTCP(token)}), newRig(t, Options{})
	for _, e := range Endpoints {
		if writes := e.Method != "GET" || e.Path == "/v1/trace"; e.Token != writes {
			t.Errorf("%s %s: Token is %v", e.Method, e.Path, e.Token)
		}
		if !e.Token {
			continue
		}
		ask := func(r *rig, fields ...string) (int, *http.Response) {
			target, body := e.Path, "[]" // refused once the client may ask
			if e.Method == "GET" {
				target, body = target+"?seconds=0", ""
			}
			resp, _ := r.ask(e.Method, target, body, append(fields, "Content-Type: application/json")...)
			return resp.StatusCode, resp
		}
		if code, _ := ask(none, "Authorization: Bearer "); code != 403 {
			t.Errorf("%s without a token configured: %d", e.Path, code)
		}
		for _, given := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + token + "x", "Bearer " + token[:5],
			"Basic " + token, token, "Bearer " + strings.ToUpper(token), "Bearer " + token + " x"} {
			var fields []string
			if given != "" {
				fields = []string{"Authorization: " + given}
			}
			if code, resp := ask(some, fields...); code != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s with %q: %d, %v", e.Path, given, code, resp.Header)
			}
		}
		if code, _ := ask(some, "Authorization: Bearer "+token, "Authorization: Bearer "+token); code != 401 {
			t.Errorf("%s with two tokens: %d", e.Path, code)
		}
		for _, given := range []string{"Bearer " + token, "bearer " + token, "Bearer  " + token} {
			if code, _ := ask(some, "Authorization: "+given); code != 400 {
				t.Errorf("%s with %q: %d", e.Path, given, code)
			}
		}
		if code, _ := ask(socket); code != 400 {
			t.Errorf("%s on the socket: %d", e.Path, code)
		}
	}
	for _, r := range []*rig{none, some, socket} {
		if log := r.log.String(); strings.Contains(log, token) {
			t.Errorf("the token is in the log: %s", log)
		}
	}
	if log := some.log.String(); !strings.Contains(log, "wrong token") || !strings.Contains(log, "by=127.0.0.1:") {
		t.Errorf("the log has no denial: %s", log)
	}
}

// The media type of JSON is asked for over TCP. Whoever sends nothing sends an empty object.
func TestContentType(t *testing.T) {
	r, socket := newRig(t, Options{Network: overTCP("t")}), newRig(t, Options{})
	for kind, want := range map[string]int{
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/jsonx": 415, "text/json": 415,
		"application/json": 200, "Application/JSON; charset=utf-8": 200,
	} {
		for _, body := range []string{"", "{}"} {
			var fields []string
			if kind != "" {
				fields = []string{"Content-Type: " + kind}
			}
			if resp, text := r.ask("POST", "/v1/drain", body, append(fields, "Authorization: Bearer t")...); resp.StatusCode != want {
				t.Errorf("%q %q: %d %s", kind, body, resp.StatusCode, text)
			}
			if resp, text := socket.ask("POST", "/v1/drain", body, fields...); resp.StatusCode != 200 {
				t.Errorf("%q %q on the socket: %d %s", kind, body, resp.StatusCode, text)
			}
		}
	}
}

// Every answer says that it is not to be guessed at, kept or framed.
func TestFields(t *testing.T) {
	r := newRig(t, Options{Network: overTCP("")})
	for _, target := range []string{"/v1/status", "/v1/nothing", "/v1/openapi.json", "/v1/drain", "/v1/faults"} {
		resp, _ := r.ask("GET", target, "")
		for name, want := range map[string]string{
			"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
}

// Another binary cannot be named over TCP: the token is to steer lb, not to run programs.
func TestUpgradeOverTCP(t *testing.T) {
	r := newRig(t, Options{Network: overTCP("t")})
	for body, want := range map[string]string{`{}`: `200 upgrade ""`, `{"binary":""}`: `200 upgrade ""`, `{"binary":"/tmp/evil"}`: "403 "} {
		resp, _ := r.ask("POST", "/v1/upgrade", body, "Content-Type: application/json", "Authorization: Bearer t")
		if got := fmt.Sprint(resp.StatusCode, " ", r.control.Asked()); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}
