package fleet

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lbExe is the path of the binary.
var lbExe string

// role is the variable that has the test binary play a part on a host of a lab.
const role = "LB_FLEET_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(runAll(m))
	case "load":
		load(os.Args[1:])
	case "backend":
		serve(os.Args[1], os.Args[2])
	case "router":
		route(os.Args[1], os.Args[2:])
	}
}

func runAll(m *testing.M) (exitCode int) {
	dir, err := os.MkdirTemp("", "lb-fleet-")
	if err == nil {
		defer os.RemoveAll(dir)
		lbExe = filepath.Join(dir, "lb")
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds lbExe. It looks at the sources, so that go test does not keep a result when
// they change.
func build() error {
	err := filepath.WalkDir("../..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-o", lbExe, "lb").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// play starts the test binary in a part on the host.
func (h *host) play(part string, args ...string) []string {
	return append([]string{"env", role + "=" + part, os.Args[0]}, args...)
}
