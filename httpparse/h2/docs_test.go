package h2

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestDocs holds the table of budgets in docs/http2.md, and the bounds before it, to sizes.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/http2.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| kind |")
	table, _, _ = strings.Cut(table, "\n\n")
	if n := strings.Count(table, "\n| `"); n != len(Budgets()) {
		t.Errorf("docs/http2.md has %d kinds of floods, the code %d", n, len(Budgets()))
	}
	for b, z := range sizes {
		start := fmt.Sprintf("| `%s` | %s | %s |", Budget(b), grouped(z.most), grouped(z.second))
		if Budget(b) == FloodBlocks {
			start = "| `blocks` | | |"
		}
		if Budget(b) != NoFlood && !strings.Contains(table, start) {
			t.Errorf("docs/http2.md has no row %q", start)
		}
	}
	for _, said := range []string{
		fmt.Sprintf("| a header block | %d KiB, in at most %d CONTINUATION frames", blockMax>>10, contsMax),
		fmt.Sprintf("| a frame | %s bytes |", grouped(FrameMax)),
		fmt.Sprintf("| the table of HPACK | %s bytes", grouped(tableBytes)),
		fmt.Sprintf("DATA frames below %d bytes", sliver),
	} {
		if !strings.Contains(string(text), said) {
			t.Errorf("docs/http2.md does not say %q", said)
		}
	}
	if backendFactor != 8 {
		t.Errorf("docs/http2.md says that backends have eight times as much, not %d", backendFactor)
	}
}

// grouped returns n with a comma before each three digits.
func grouped(n int32) string {
	s := strconv.Itoa(int(n))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
