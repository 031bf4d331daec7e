package rest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const apiDoc = "../../docs/api.md"

// TestDoc holds the table of docs/api.md to the endpoints.
func TestDoc(t *testing.T) {
	text, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "-update -->\n", "<!-- end of endpoints -->"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, both := strings.Cut(rest, end)
	if !ok || !both {
		t.Fatalf("%s has no marks around the table", apiDoc)
	}
	want := before + begin + endpointTable() + end + after
	if *update {
		if err := os.WriteFile(apiDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s is not what the endpoints are; go test ./admin/rest -run TestDoc -update", apiDoc)
	}
}

// endpointTable returns the table of all endpoints.
func endpointTable() string {
	var b strings.Builder
	b.WriteString("| | socket | address | |\n|---|---|---|---|\n")
	for _, e := range Endpoints {
		socket, tcp := "yes", "yes"
		if e.TCP {
			socket = ""
		}
		if e.Token {
			tcp = "token"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s", e.Method, e.Path, socket, tcp, e.Summary)
		for _, p := range e.Query {
			fmt.Fprintf(&b, "<br>`%s`: %s", p.Name, p.Summary)
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
