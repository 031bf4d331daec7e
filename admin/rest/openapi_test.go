package rest

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

var update = flag.Bool("update", false, "write openapi.json and the table of docs/api.md")

// TestOpenAPI holds openapi.json to the endpoints and their types.
func TestOpenAPI(t *testing.T) {
	want := generate(t)
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		document = want
	}
	if !bytes.Equal(document, want) {
		t.Error("openapi.json is not what the endpoints and their types have; go test ./admin/rest -run TestOpenAPI -update")
	}
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}
