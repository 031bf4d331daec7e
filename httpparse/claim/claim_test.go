package claim

import (
	"strings"
	"testing"
)

// TestIs: whatever is a claim may be one, in any case; names that are nearly the same are
// none.
func TestIs(t *testing.T) {
	claims := append(names[:], "x-forwarded-", "x-forwarded-port", "x-forwarded-client-cert", "x-original-url", "x-original-")
	for _, name := range claims {
		for _, n := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			b := []byte("A: " + n)
			if !May(b, 3, len(n)) || !Is([]byte(n)) {
				t.Errorf("%s: may be a claim %t, is one %t", n, May(b, 3, len(n)), Is([]byte(n)))
			}
		}
	}
	for _, n := range []string{"", "x", "x-real-i", "x-real-ips", "y-real-ip", "x-forwarde", "x-forwarded_", "x-originals", "x-request-id", "via", "front-end-http", "x-real_ip"} {
		if Is([]byte(n)) {
			t.Errorf("%q is a claim", n)
		}
	}
	for _, n := range []string{"X-Req-ID", "Accept-Encoding", "User-Agent", "Content-Type", "X-B3-TraceId", "Client"} {
		if May([]byte(n), 0, len(n)) {
			t.Errorf("%s may be a claim", n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Is([]byte("x-envoy-external-addresses")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
