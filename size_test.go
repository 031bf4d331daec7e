package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The largest function, tests included, and the largest package, without its tests.
const (
	funcLinesMax    = 70
	packageLinesMax = 2500
)

// TestSizes holds every function and every package of the module to these limits.
func TestSizes(t *testing.T) {
	lines := map[string]int{} // of each package without its tests, by directory
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			lines[filepath.Dir(path)] += bytes.Count(source, []byte("\n"))
		}
		return checkFunctions(t, path, source)
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, n := range lines {
		if n > packageLinesMax {
			t.Errorf("%s has %d lines without its tests, want %d at most", dir, n, packageLinesMax)
		}
	}
}

// checkFunctions checks the functions of one file.
func checkFunctions(t *testing.T, path string, source []byte) error {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		first := files.Position(f.Pos())
		if n := files.Position(f.End()).Line - first.Line + 1; n > funcLinesMax {
			t.Errorf("%s: %s has %d lines, want %d at most", first, f.Name.Name, n, funcLinesMax)
		}
	}
	return nil
}
