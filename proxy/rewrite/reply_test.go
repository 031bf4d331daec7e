package rewrite

import (
	"testing"
	"time"

	"lb/loop/tick"
)

// TestDate: the line changes when it is a second old, and the clock's zone does not
// matter.
func TestDate(t *testing.T) {
	now, asked := time.Date(1994, 11, 6, 9, 49, 37, 0, time.FixedZone("", 3600)), 0
	d := NewDate(func() time.Time { asked++; return now })
	begin := tick.Instant(1)
	for _, tc := range []struct {
		after time.Duration
		want  string
		asked int
	}{
		{0, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 1},
		{time.Second - 1, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 1},
		{time.Second, "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 2},
		{time.Hour, "Date: Sun, 06 Nov 1994 09:49:37 GMT\r\n", 3},
	} {
		base := now
		now = now.Add(tc.after)
		if got := string(d.Line(begin.Add(tc.after))); got != tc.want || asked != tc.asked {
			t.Errorf("%v later: %q, clock asked %d times; want %q and %d", tc.after, got, asked, tc.want, tc.asked)
		}
		now = base
	}
}

func TestPhrase(t *testing.T) {
	for code, want := range map[int]string{
		200: "OK",
		301: "Moved Permanently",
		308: "Permanent Redirect",
		400: "Bad Request",
		413: "Content Too Large",
		414: "URI Too Long",
		421: "Misdirected Request",
		431: "Request Header Fields Too Large",
		500: "Internal Server Error",
		502: "Bad Gateway",
		505: "HTTP Version Not Supported",
		100: "Continue",
		451: "Unavailable For Legal Reasons",
		511: "Network Authentication Required",
		418: "",
		512: "",
		599: "",
		999: "",
	} {
		if got := string(Phrase(code)); got != want {
			t.Errorf("%d %q, want %q", code, got, want)
		}
	}
}
