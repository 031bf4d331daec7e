package faultview

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"lb/proxy/record"
)

var update = flag.Bool("update", false, "write the golden files")

// text is what a person reads of an entry.
func text(t *testing.T, raw string, heads bool) string {
	t.Helper()
	e, err := Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, l := range e.Lines(heads) {
		b.WriteString(l.Head + l.Words + "\n")
	}
	return b.String()
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test -update rewrites it):\n%s\nwant\n%s", name, got, want)
	}
}

const reset = `{"kind":"fault","time":"2026-11-27T04:30:00.123456Z","request_id":"0190-a","client":"192.0.2.1","peer":"10.1.1.1",
"method":"GET","host":"a.example","target":"/x?y","protocol":"HTTP/2","status":502,"bytes":21,"bytes_in":5,"route":"web.toml 3","pool":"web","backend":"10.0.0.2:80",
"attempts":[{"backend":"10.0.0.1:80","cause":"no_connect","phase":"dial","us":300,"detail":"connection refused"},{"backend":"10.0.0.2:80","cause":"reset","phase":"wait","us":1200,"detail":"connection reset by peer"}],
"phases":{"head":1,"queue":0,"connect":90,"tls":0,"send":3,"first_byte":1100,"body":10,"client_stall":0},"total_us":1640,
"reused":true,"end":"backend","end_phase":"wait","end_why":"reset","end_detail":"connection reset by peer","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",
"head":"GET /x?y HTTP/2\r\nhost: a.example\r\nauthorization: ***\r\n\r\n","backends":[{"backend":"10.0.0.1:80","state":"down","in_flight":0},{"backend":"10.0.0.2:80","state":"up","in_flight":3}]}`

// TestLines: the whole block of a failed exchange.
func TestLines(t *testing.T) {
	golden(t, "reset.txt", text(t, reset, false))
	golden(t, "reset_heads.txt", text(t, reset, true))
}

// TestHeadline: whose fault it was stands in the first line, for each side.
func TestHeadline(t *testing.T) {
	for _, tc := range []struct{ raw, want string }{
		{`{"end":"backend","backend":"a:1","pool":"web","end_why":"slow","end_phase":"wait"}`,
			"backend a:1 of pool web: did not begin its answer in time (timeouts.response) [backend/wait/slow]"},
		{`{"end":"client","backend":"a:1","pool":"web","end_why":"gone","end_phase":"relay"}`,
			"client: the client went away while the answer was passed on [client/relay/gone]"},
		{`{"end":"client","end_why":"slow","end_phase":"send","pool":"web"}`, "client: did not send its body in time (timeouts.client_body) [client/send/slow]"},
		{`{"end":"client","end_why":"bad_request","end_phase":"admit","end_detail":"bare CR"}`, "client: the request is not valid: bare CR [client/admit/bad_request]"},
		{`{"end":"lb","pool":"web","end_why":"no_backend","end_phase":"pick"}`, "lb of pool web: no backend of the pool can be tried [lb/pick/no_backend]"},
		{`{"end":"backend","backend":"a:1","pool":"web","end_why":"no_connect","end_phase":"dial","end_detail":"connection refused"}`,
			"backend a:1 of pool web: cannot be reached: connection refused [backend/dial/no_connect]"},
		{`{"end":"lb","end_why":"no_route","end_phase":"admit"}`, "lb: no route takes this host and path [lb/admit/no_route]"},
		{`{"end":"backend","backend":"a:1","pool":"web","end_why":"tls","end_phase":"dial","end_detail":"the certificate has expired"}`,
			"backend a:1 of pool web: TLS failed while lb connected: the certificate has expired [backend/dial/tls]"},
		{`{"end":"backend","backend":"a:1","pool":"web","end_why":"new_cause","end_phase":"new_phase"}`, "backend a:1 of pool web: new_cause new_phase [backend/new_phase/new_cause]"},
		{`{"end":"lb"}`, "lb"},
		{`{}`, "unknown"},
		{`{"kind":"trace","end":"ok","backend":"a:1","pool":"web"}`, "answered by a:1 of pool web"},
		{`{"kind":"trace","end":"ok"}`, "answered by lb"},
		{`{"kind":"slow","end":"ok","backend":"a:1","pool":"web","total_us":2000000,"phases":{"first_byte":1900000,"body":9}}`,
			"slow, most of it by the backend a:1 of pool web: 1.9 s of 2.0 s (first byte)"},
		{`{"kind":"slow","end":"ok","backend":"a:1","pool":"web","total_us":2000000,"phases":{"first_byte":9,"body":1999900,"client_stall":1990000}}`,
			"slow, most of it by the client: 2.0 s of 2.0 s (client stall)"},
		{`{"kind":"slow","end":"ok","backend":"a:1","pool":"web","total_us":2000000,"phases":{"queue":1900000}}`,
			"slow, most of it by the queue for pool web: 1.9 s of 2.0 s"},
		{`{"kind":"slow","end":"ok","total_us":120000000}`, "slow: 2m0s by lb"},
		{`{"kind":"fault","end":"ok","status":500,"backend":"a:1","pool":"web","total_us":2900,"phases":{"first_byte":2500}}`,
			"backend a:1 of pool web: answered 500"},
		{`{"kind":"fault","end":"backend","backend":"a:1","pool":"web","end_why":"slow","end_phase":"wait","end_detail":"no answer in time (timeouts.response)"}`,
			"backend a:1 of pool web: did not begin its answer in time (timeouts.response) [backend/wait/slow]"},
		{`{"kind":"fault","end":"client","end_why":"no_route","end_phase":"admit","end_detail":"no route takes this host and path"}`,
			"client: no route takes this host and path [client/admit/no_route]"},
	} {
		e, err := Parse([]byte(tc.raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Headline(); got != tc.want {
			t.Errorf("%s:\n%q, want\n%q", tc.raw, got, tc.want)
		}
	}
}

// TestEveryCause: each cause and each phase that the data plane knows has words here.
func TestEveryCause(t *testing.T) {
	for c := record.NoCause + 1; ; c++ {
		name, ok := nameOf(c)
		if !ok {
			break
		}
		if causes[name] == "" {
			t.Errorf("no words for the cause %q", name)
		}
	}
	for ph := range record.Phases {
		if phases[ph.String()] == "" {
			t.Errorf("no words for the phase %q", ph)
		}
	}
}

// nameOf returns the name of a cause, and false after the last one.
func nameOf(c record.Cause) (name string, ok bool) {
	defer func() { recover() }() // there is no such cause
	return c.String(), true
}

// TestHostile: what a client sends is never obeyed by the terminal of who reads it.
func TestHostile(t *testing.T) {
	evil := "\x1b[2J\x07\u202e\u2028\u009b\n\r\t\u200b"
	raw := fmt.Sprintf(`{"kind":"fault","end":%[1]q,"method":"G","host":%[1]q,"target":%[1]q,"client":%[1]q,"request_id":%[1]q,"head":%[1]q,
"end_why":%[1]q,"end_detail":%[1]q,"attempts":[{"backend":%[1]q,"cause":%[1]q}],"backends":[{"backend":%[1]q,"state":%[1]q}],"trace_id":%[1]q}`, evil)
	raw = strings.NewReplacer(`\x1b`, `\u001b`, `\a`, `\u0007`, `\x9b`, `\u009b`).Replace(raw)
	for line := range strings.Lines(text(t, raw, true)) {
		for _, r := range strings.TrimSuffix(line, "\n") {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Errorf("%q has %q", line, r)
			}
		}
	}
}

// FuzzLines: whatever JSON comes, there are lines, and a terminal obeys none of them.
func FuzzLines(f *testing.F) {
	f.Add([]byte(reset))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Parse(raw)
		if err != nil {
			return
		}
		for _, l := range e.Lines(true) {
			if strings.ContainsFunc(l.Head+l.Words, unicode.IsControl) {
				t.Errorf("%q", l)
			}
		}
	})
}
