package rewrite

import (
	"bytes"
	"strings"
	"testing"

	"lb/config"
	"lb/httpparse"
	"lb/proxy/record"
)

// fuzzRoute sets a Host and strips a prefix.
var fuzzRoute = NewRoute(&config.Route{Path: "/api", StripPrefix: true,
	SetRequestHeaders: []config.Field{{Name: "Host", Value: "inner.example:8080"}, {Name: "X-A", Value: "1"}}}, false, &Tags{})

// The options of FuzzRequestHead, as bits.
const (
	fuzzTrusted = 1 << iota
	fuzzUnix
	fuzzVia
	fuzzHops
	fuzzRouted
	fuzzStream
	fuzzTags
)

// FuzzRequestHead: a head for a backend is no longer than HeadBytes says, and httpparse reads
// it as the same request.
func FuzzRequestHead(f *testing.F) {
	for i, tc := range requestCases {
		f.Add([]byte(tc.in), uint8(i))
	}
	f.Add([]byte(stripped("/api//x")), uint8(fuzzRouted))
	f.Add([]byte(stripped("/api+6x")), uint8(fuzzRouted))
	f.Add([]byte(get("X-A: 1\r\n"+forgeries+forgeries)), uint8(fuzzTrusted))
	for _, tc := range tagTests {
		f.Add([]byte(get(tc.fields)), uint8(fuzzTags|fuzzTrusted))
		f.Add([]byte(get(tc.fields)), uint8(fuzzTags|fuzzRouted))
	}
	f.Fuzz(func(t *testing.T, in []byte, options uint8) {
		r, target := fuzzRequest(in, options)
		if r == nil {
			return
		}
		bound := r.HeadBytes()
		out := r.AppendHead(nil)
		if len(out) > bound {
			t.Errorf("%q: %d bytes, HeadBytes says %d", out, len(out), bound)
		}
		checkFuzzed(t, r, out, target)
		if options&fuzzTags != 0 {
			checkTags(t, r, out)
		}
	})
}

// fuzzRequest returns the request that in is, or nil if it is none that lb passes on, and the
// target that its head must have.
func fuzzRequest(in []byte, options uint8) (r *Request, target string) {
	var p httpparse.RequestParser
	p.Reset(&limits)
	if p.Feed(in) != httpparse.Done || p.Method == httpparse.CONNECT {
		return nil, ""
	}
	has := func(option uint8) bool { return options&option != 0 }
	addr := "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	if has(fuzzUnix) {
		addr = ""
	}
	r = &Request{Message: &p.Request, Text: in, Config: new(config.Config), Peer: newPeer(addr, has(fuzzTrusted)), Hops: -1}
	if has(fuzzVia) {
		r.Via = []byte("Via: 1.1 lb.example\r\n")
	}
	if has(fuzzHops) {
		r.Hops = 1<<63 - 1
	}
	if has(fuzzStream) && p.Framing == httpparse.Chunked {
		p.InStream()
	}
	p.HideForged(in, r.Peer.Trusted, httpparse.NewGuarded([]string{"X-A"}))
	if has(fuzzTags) {
		r.Tag(&allTags, newMaker(), 1, new(record.Record))
	}
	target = string(p.AppendPath(nil, in))
	rest, under := strings.CutPrefix(target, "/api") // the router sends nothing else to the route
	if under = under && (rest == "" || rest[0] == '/' || rest[0] == '?'); under && has(fuzzRouted) {
		r.Route, target = &fuzzRoute, "/"+strings.TrimLeft(rest, "/")
	}
	return r, target
}

// checkFuzzed checks that out is read as the request of r, with this target.
func checkFuzzed(t *testing.T, r *Request, out []byte, target string) {
	m, host := r.Message, string(r.Message.Authority.Of(r.Text))
	if r.Route != nil {
		host = r.Route.host
	}
	wide := limits
	wide.HeadBytes, wide.Fields, wide.TargetBytes = 2*wide.HeadBytes, 2*wide.Fields, wide.TargetBytes+1
	var p httpparse.RequestParser
	p.Reset(&wide)
	if p.Feed(out) != httpparse.Done || int(p.HeadLen) != len(out) {
		t.Fatalf("%q: %v, %d bytes of %d", out, p.Reason, p.HeadLen, len(out))
	}
	if got := p.MethodName.Of(out); !bytes.Equal(got, m.MethodName.Of(r.Text)) || p.Minor != 1 {
		t.Errorf("%q: method %q, minor %d", out, got, p.Minor)
	}
	if got := string(p.Target.Of(out)); got != target {
		t.Errorf("%q: target %q, want %q", out, got, target)
	}
	if got := string(p.Authority.Of(out)); got != host {
		t.Errorf("%q: host %q, want %q", out, got, host)
	}
	if p.Framing != r.Framing || r.Framing == httpparse.Length && p.Length != m.Length {
		t.Errorf("%q: framing %d of %d bytes, want %d of %d", out, p.Framing, p.Length, r.Framing, m.Length)
	}
	if p.UpgradeOption != (r.Upgrade != "") || p.Nominated || p.Close || p.HasToken(out, httpparse.Upgrade, "h2c") {
		t.Errorf("%q: Connection and Upgrade, want upgrade %q", out, r.Upgrade)
	}
}
