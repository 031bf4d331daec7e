package grpc

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocs: docs/http2.md has the status of each code for which lb has one.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/http2.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| instead of | grpc-status |")
	table, _, _ = strings.Cut(table, "\n\n")
	names := map[Status]string{Unknown: "UNKNOWN", PermissionDenied: "PERMISSION_DENIED", ResourceExhausted: "RESOURCE_EXHAUSTED",
		Unimplemented: "UNIMPLEMENTED", Internal: "INTERNAL", Unavailable: "UNAVAILABLE", Unauthenticated: "UNAUTHENTICATED"}
	for code := 400; code < 600; code++ {
		want, said := StatusOf(code), "any other"
		if want != Unknown {
			said = fmt.Sprint(code)
		}
		found := false
		for row := range strings.Lines(table) {
			codes, status, _ := strings.Cut(strings.Trim(row, "| \n"), " | ")
			found = found || status == fmt.Sprintf("%d %s", want, names[want]) && strings.Contains(", "+codes+",", ", "+said+",")
		}
		if !found {
			t.Errorf("docs/http2.md does not say that %d is %d %s", code, want, names[want])
		}
	}
}
