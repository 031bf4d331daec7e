package heads

import (
	"bytes"
	"testing"
)

// TestWords has every byte at every place of words decided on as one alone is.
func TestWords(t *testing.T) {
	for n := 1; n < 20; n++ {
		for i := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte{'a'}, n)
				b[i] = byte(c)
				if got := targetOK(b); got != isTarget[c] {
					t.Errorf("target %q: %v", b, got)
				}
				want := c >= ' ' && c != 0x7f || c == '\t'
				if want = want && (i > 0 && i < n-1 || !isBlank(byte(c))); valueOK(b) != want {
					t.Errorf("value %q: %v", b, !want)
				}
			}
		}
	}
	if targetOK(nil) {
		t.Error("no target is one")
	}
}
