package dashboard

import (
	"os"
	"strings"
	"testing"

	"lb/proxy/record"
)

// TestEveryCauseHasWords: the page says in words why an exchange failed, for each cause that
// the data plane knows.
func TestEveryCauseHasWords(t *testing.T) {
	script, err := os.ReadFile("page/page.js")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(script), "const CAUSES = {")
	words, _, found := strings.Cut(rest, "};")
	if !found {
		t.Fatal("page.js has no CAUSES")
	}
	for c := record.NoCause + 1; int(c) < record.Causes; c++ {
		if name := c.String(); !strings.Contains(words, " "+name+": \"") {
			t.Errorf("no words for the cause %q", name)
		}
	}
}
