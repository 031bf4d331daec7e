package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// platforms are those that lb compiles for, besides the one that tests run on.
var platforms = []string{"linux/arm64", "linux/386", "linux/arm", "darwin/arm64", "freebsd/amd64"}

// listed is a package, or its variant with tests, as `go list` shows it.
type listed struct {
	ImportPath, Dir, Name, ForTest string
	GoFiles                        []string
	ImportMap                      map[string]string
	Standard                       bool
	Module                         *struct {
		Main      bool
		GoVersion string
	}
	Error *struct{ Err string }
}

// TestPlatforms checks the types of all files, and of what they import, as compilers for
// other platforms do, from the source. To have the compilers do it takes many times as long.
func TestPlatforms(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the standard library five times")
	}
	for _, platform := range platforms {
		t.Run(strings.ReplaceAll(platform, "/", "_"), func(t *testing.T) {
			t.Parallel()
			goos, arch, _ := strings.Cut(platform, "/")
			cmd := exec.Command("go", "list", "-e", "-deps", "-test", "-json=ImportPath,Dir,Name,ForTest,GoFiles,ImportMap,Standard,Module,Error", "./...")
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+arch)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			c := checker{t: t, sizes: types.SizesFor("gc", arch), files: token.NewFileSet(), done: map[string]*types.Package{"unsafe": types.Unsafe}}
			ours := 0
			for in := json.NewDecoder(strings.NewReader(string(out))); ; {
				var p listed
				if err := in.Decode(&p); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if c.check(&p) {
					ours++
				}
			}
			if ours < 100 {
				t.Errorf("%d packages and variants of lb, which are too few", ours)
			}
		})
	}
}

// checker checks packages whose imports it has checked before.
type checker struct {
	t     *testing.T
	sizes types.Sizes
	files *token.FileSet
	done  map[string]*types.Package // by path as listed
}

// check checks p, of other modules without the bodies of functions, and reports whether p
// is lb's.
func (c *checker) check(p *listed) (ours bool) {
	if p.Error != nil {
		c.t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
	}
	if p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test") { // which is made
		return false
	}
	ours = !p.Standard && p.Module != nil && p.Module.Main
	mode := parser.SkipObjectResolution
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(c.files, filepath.Join(p.Dir, name), nil, mode)
		if err != nil {
			c.t.Error(err)
			continue
		}
		files = append(files, f)
	}
	cfg := types.Config{Sizes: c.sizes, IgnoreFuncBodies: !ours, FakeImportC: true, Importer: importing{c, p}, Error: func(err error) { c.t.Error(err) }}
	if p.Module != nil && p.Module.GoVersion != "" {
		cfg.GoVersion = "go" + p.Module.GoVersion
	}
	path, _, _ := strings.Cut(p.ImportPath, " ")
	c.done[p.ImportPath], _ = cfg.Check(path, c.files, files, nil)
	return ours
}

// importing finds what a package imports.
type importing struct {
	*checker
	by *listed
}

func (i importing) Import(path string) (*types.Package, error) {
	if as := i.by.ImportMap[path]; as != "" {
		path = as
	}
	if p := i.done[path]; p != nil {
		return p, nil
	}
	return nil, errors.New(path + " was not listed before it was imported")
}
