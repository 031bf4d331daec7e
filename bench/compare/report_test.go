package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// kept is a report with a bit of everything.
func kept(t *testing.T) *Report {
	t.Helper()
	r, err := readReport("testdata/report.json")
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
	r.writeMarkdown(&md)
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

func TestPlots(t *testing.T) {
	r := kept(t)
	for name, plot := range map[string]func(io.Writer, string) error{"cost": r.plotCost, "latency": r.plotLatency} {
		var svg, image bytes.Buffer
		if err := errors.Join(plot(&svg, "svg"), plot(&image, "png")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := xml.Unmarshal(svg.Bytes(), new(struct{})); err != nil || !strings.Contains(svg.String(), "nginx") {
			t.Errorf("%s: SVG: %v, names nginx: %v", name, err, strings.Contains(svg.String(), "nginx"))
		}
		if m, err := png.Decode(&image); err != nil || m.Bounds().Dx() < 500 {
			t.Errorf("%s: PNG: %v, %v", name, m, err)
		}
	}
}

// A run that has measured nothing yet is no reason to fail.
func TestEmptyReport(t *testing.T) {
	r := &Report{Cases: []Case{{Name: "small"}}}
	if err := errors.Join(r.plotCost(io.Discard, "svg"), r.plotLatency(io.Discard, "png"), r.writeCSV(io.Discard)); err != nil {
		t.Error(err)
	}
	r.writeMarkdown(io.Discard)
}

func TestFillIn(t *testing.T) {
	r := kept(t)
	read := func(file string) (*Report, error) {
		if file != "a/r.json" {
			return nil, errors.New("no such report")
		}
		return r, nil
	}
	filled := "x\n" + markBegin + "a/r.json" + markClose + "\n" + r.readmeText("a/r.json") + markEnd + "\ny\n"
	for _, tc := range []struct {
		name, in, want string
		places         int
	}{
		{"no markers", "x\ny\n", "x\ny\n", 0},
		{"empty", "x\n" + markBegin + "a/r.json" + markClose + markEnd + "\ny\n", filled, 1},
		{"old figures", "x\n" + markBegin + "a/r.json" + markClose + "\nold\n" + markEnd + "\ny\n", filled, 1},
		{"filled in", filled, filled, 1},
		{"twice", filled + filled, filled + filled, 2},
	} {
		got, places, err := fillIn(tc.in, read)
		if err != nil || got != tc.want || places != tc.places {
			t.Errorf("%s: %d places, %v, %q", tc.name, places, err, got)
		}
	}
	for name, bad := range map[string]string{
		"no end":         markBegin + "a/r.json" + markClose,
		"no close":       markBegin + "a/r.json\n",
		"unknown report": markBegin + "b/r.json" + markClose + markEnd,
	} {
		if _, _, err := fillIn(bad, read); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRewriteReadme(t *testing.T) {
	dir := t.TempDir()
	readme, report := filepath.Join(dir, "README.md"), filepath.Join(dir, "results", "r.json")
	b, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	text := "x\n" + markBegin + "old.json" + markClose + markEnd + "\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(report), 0o755), os.WriteFile(report, b, 0o644), os.WriteFile(readme, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := rewriteReadme(readme, report); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(readme)
	want := "x\n" + markBegin + "results/r.json" + markClose + "\n" + kept(t).readmeText("results/r.json") + markEnd + "\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if err := os.WriteFile(readme, []byte("none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := rewriteReadme(readme, ""); err == nil {
		t.Error("a README without a place for figures is accepted")
	}
}

// The figures in our README are those of the report that they name, as this
// package would write them. To renew: go run ./bench/compare --readme README.md
func TestReadmeFigures(t *testing.T) {
	const root = "../.."
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	filled, _, err := fillIn(string(b), func(file string) (*Report, error) { return readReport(filepath.Join(root, file)) })
	if err != nil {
		t.Fatal(err)
	}
	if filled != string(b) {
		t.Error("README.md: figures differ from those of the report named; go run ./bench/compare --readme README.md")
	}
}
