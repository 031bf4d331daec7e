package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// kept returns a report with a bit of everything.
func kept(t *testing.T) *Report {
	t.Helper()
	r, err := Read("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was; got\n%s", name, got)
	}
}

func TestTables(t *testing.T) {
	r := kept(t)
	var md, csv bytes.Buffer
	if err := r.writeMarkdown(&md, "../results/report"); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.md", md.Bytes())
	if err := r.writeCSV(&csv); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.csv", csv.Bytes())
	golden(t, "readme.md", []byte(r.readmeText("bench/results/report.json")))
}

func TestJSONGoesBothWays(t *testing.T) {
	r := kept(t)
	var b bytes.Buffer
	if err := r.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var again Report
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&again); err != nil || !reflect.DeepEqual(*r, again) {
		t.Errorf("%v, read back as %+v", err, again)
	}
}
