package httpparse

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReasonsDoc compares the table of lb's own replies with the reasons: each reason to
// refuse a request stands there with its status.
func TestReasonsDoc(t *testing.T) {
	b, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	ofAnswers := map[Reason]bool{BadStatusLine: true, BadPhrase: true}
	for r := NoReason + 1; r < reasons; r++ {
		row := fmt.Sprintf("\n| %d | %s |", r.Status(), r)
		if !ofAnswers[r] && !strings.Contains(string(b), row) {
			t.Errorf("docs/http.md has no row %q", row[1:])
		}
	}
}
