package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// withoutMend has the lines of the log at warn and error that need no attribute "mend", by
// their message, and why. "" is a message that is put together at run time.
var withoutMend = map[string]string{
	"access log is written again": "it is the end of a trouble, of which the first line says what to do",
}

// logged are the directories whose lines an operator of lb reads.
var logged = []string{"admin", "cli", "internal/filewatch", "internal/host", "internal/systemd", "loop", "proxy", "supervise", "upstream"}

// TestLinesSayWhatToDo: each call of Warn and Error in the control plane and the proxy has the
// attribute "mend", or is in a function that gives it to the list of attributes.
func TestLinesSayWhatToDo(t *testing.T) {
	found := 0
	for _, dir := range logged {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
					found += checkLines(t, files, f)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 40 {
		t.Errorf("only %d lines were found", found)
	}
}

// checkLines checks the lines that f logs, and returns how many there are.
func checkLines(t *testing.T, files *token.FileSet, f *ast.FuncDecl) (found int) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 || !ofLog(call.Fun) {
			return true
		}
		found++
		message := stringOf(call.Args[0])
		variadic := call.Ellipsis.IsValid() && hasMend(f.Body) // the list is made elsewhere in the function
		if _, known := withoutMend[message]; !known && !variadic && !hasMend(call) {
			t.Errorf("%v: %q says no \"mend\"", files.Position(call.Pos()), message)
		}
		return true
	})
	return found
}

// ofLog reports whether fun is Warn or Error of a logger.
func ofLog(fun ast.Expr) bool {
	s, ok := fun.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Warn" && s.Sel.Name != "Error" {
		return false
	}
	switch on := s.X.(type) {
	case *ast.Ident:
		return strings.EqualFold(on.Name, "log")
	case *ast.SelectorExpr:
		return strings.EqualFold(on.Sel.Name, "log")
	case *ast.CallExpr: // slog.New(...)
		return true
	}
	return false
}

// hasMend reports whether n has the string "mend".
func hasMend(n ast.Node) (has bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok && stringOf(e) == "mend" {
			has = true
		}
		return !has
	})
	return has
}

// stringOf returns the value of a string literal, or "".
func stringOf(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}

// TestWithoutMendIsUsed: no line in the list is gone from the code.
func TestWithoutMendIsUsed(t *testing.T) {
	var messages []string
	for _, dir := range logged {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok {
					messages = append(messages, stringOf(e))
				}
				return true
			})
			return nil
		})
	}
	for m := range withoutMend {
		if !slices.Contains(messages, m) {
			t.Errorf("%q is no line any longer", m)
		}
	}
}
