package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// recipe returns the commands of a recipe of the justfile.
func recipe(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("justfile")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n"+name+":\n")
	if !ok {
		t.Fatalf("the justfile has no recipe %q", name)
	}
	body, _, _ := strings.Cut(after, "\n\n")
	return body
}

// TestBuild builds lb as `just build` does: a static binary without symbols or paths of
// this machine, which knows its version although no repository is found.
func TestBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the standard library again")
	}
	if runtime.GOOS != "linux" {
		t.Skip("reads an ELF file")
	}
	binary := filepath.Join(t.TempDir(), "lb")
	command := strings.Replace(recipe(t, "build"), "-o lb ", "-o "+binary+" ", 1)
	command = strings.Replace(command, "$(git describe --tags --always --dirty 2>/dev/null)", "v0.0.0-test", 1)
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is not static: it asks for a dynamic linker")
		}
	}
	if symbols, err := file.Symbols(); err == nil {
		t.Errorf("the binary has %d symbols", len(symbols))
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(binary); err != nil || bytes.Contains(text, []byte(here+"/")) {
		t.Errorf("the binary has the path %s in it (%v)", here, err)
	}
	out, err := exec.Command(binary, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "lb v0.0.0-test ") {
		t.Errorf("lb version: %s (%v)", out, err)
	}
}
