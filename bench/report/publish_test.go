package report

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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

func TestWriteDocs(t *testing.T) {
	dir := t.TempDir()
	docs, report := filepath.Join(dir, "docs", "b.md"), filepath.Join(dir, "results", "r.json")
	b, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(docs), 0o755), os.Mkdir(filepath.Dir(report), 0o755), os.WriteFile(report, b, 0o644), Publish("", docs, report)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(docs)
	if err != nil || !strings.Contains(string(got), "](../results/r-cost.svg)") {
		t.Errorf("%v\n%s", err, got)
	}
}

// publishedReport returns the file of the report that README names, seen from root.
func publishedReport(t *testing.T, root string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), markBegin)
	file, _, ok := strings.Cut(rest, markClose)
	if !ok {
		t.Fatalf("README.md has no %sFILE%s", markBegin, markClose)
	}
	return file
}

// README's figures, docs/benchmarks.md and the files of the report beside it are
// what this package makes of the report that README names.
func TestPublished(t *testing.T) {
	const root = "../.."
	file := publishedReport(t, root)
	renew := "go run ./bench/compare --render " + file + " && go run ./bench/compare --readme README.md --docs " + docsFile + " " + file
	r, err := Read(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(file, ".json")
	files := map[string]func(*bytes.Buffer) error{
		"README.md": func(b *bytes.Buffer) error {
			old, err1 := os.ReadFile(filepath.Join(root, "README.md"))
			text, _, err2 := fillIn(string(old), func(string) (*Report, error) { return r, nil })
			b.WriteString(text)
			return errors.Join(err1, err2)
		},
		docsFile: func(b *bytes.Buffer) error { return r.writeMarkdown(b, "../"+base) },
	}
	for _, f := range r.forms(base) {
		if f.published {
			files[base+f.suffix] = func(b *bytes.Buffer) error { return f.write(b) }
		}
	}
	for name, write := range files {
		var want bytes.Buffer
		if err := write(&want); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not what the report makes it (%v): %s", name, err, renew)
		}
	}
}
