package e2e

import (
	"regexp"
	"testing"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// TestFloodIsTold: the log has a line for a flood, with its kind and the client.
func TestFloodIsTold(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", nil)
		h := h2Client(t, l.clear)
		pings := h2Flood{more: func(*h2Conn, int) []byte { return times(500, h2Frame(http2.FramePing, 0, 0, []byte("12345678"))) }}
		if calm, sent := pings.run(h); !calm {
			t.Fatalf("%d bytes of PING are sent, and the conn goes on", sent)
		}
		h.end(t)
		told := regexp.MustCompile(`level=WARN msg="connections cut off for a flood" kind=pings count=1 since=\S+ client=127\.0\.0\.1 mend=`)
		testkit.Until(t, "the line", func() bool { return told.MatchString(l.Log.String()) })
	})
}
