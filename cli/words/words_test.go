package words

import (
	"testing"
)

// TestSpan: three digits at most, and the unit that fits.
func TestSpan(t *testing.T) {
	for us, want := range map[int64]string{0: "0 us", 999: "999 us", 1000: "1.0 ms", 9949: "9.9 ms", 10_400: "10.4 ms", 99_949: "99.9 ms", 99_950: "100 ms", 999_499: "999 ms",
		999_999: "1.0 s", 1_000_000: "1.0 s", 99_900_000: "99.9 s", 100_000_000: "1m40s"} {
		if got := Span(us); got != want {
			t.Errorf("%d us: %q, want %q", us, got, want)
		}
	}
}

// TestClean: nothing that a terminal obeys is left, and the rest stays.
func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"plain: grün, 界":      "plain: grün, 界",
		"\x1b[2J":             `\u{1b}[2J`,
		"a\u009bb":            `a\u{9b}b`,
		"\u202etxt.exe\u2028": `\u{202e}txt.exe\u{2028}`,
	} {
		if got := Clean(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
