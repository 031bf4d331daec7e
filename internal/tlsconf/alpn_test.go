package tlsconf_test

import (
	"crypto/tls"
	"testing"

	"lb/internal/testkit"
)

// TestALPN: HTTP/2 is chosen before HTTP/1 wherever a client offers it, unless it is off.
func TestALPN(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	site := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	for _, tc := range []struct {
		on    bool
		offer []string
		want  string // "" for none, "!" for a refusal
	}{
		{true, []string{"h2"}, "h2"},
		{true, []string{"http/1.1", "h2"}, "h2"},
		{true, []string{"http/1.1"}, "http/1.1"},
		{true, nil, ""},
		{false, []string{"h2", "http/1.1"}, "http/1.1"},
		{false, []string{"h2"}, "!"},
	} {
		cfg := tlsConfig()
		cfg.HTTP2.Enabled = tc.on
		set := build(t, cfg, secrets(site))
		_, got, err := shake(t, set.Server, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test", NextProtos: tc.offer})
		if tc.want == "!" != (err != nil) || err == nil && got.NegotiatedProtocol != tc.want {
			t.Errorf("on %t, offered %q: %q, %v", tc.on, tc.offer, got.NegotiatedProtocol, err)
		}
	}
}
