package cli

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
	"lb/supervise/localca"
)

func TestTrust(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	storage, file := filepath.Join(dir, "a 'b"), filepath.Join(dir, "other.toml")
	testkit.WriteFile(t, file, fmt.Sprintf("[tls.acme]\nnames = [\"localhost\"]\nstorage = %q\n", storage))

	code, stdout, stderr := give("trust", "-c", file)
	if code != exitFault || stdout != "" || !strings.Contains(stderr, localca.RootPath(storage)) || !strings.Contains(stderr, "lb serve --https localhost") {
		t.Errorf("without a root: %d, %q, %q", code, stdout, stderr)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
		t.Errorf("something was made: %v, %v", entries, err)
	}

	if _, err := localca.Storage(storage); err != nil {
		t.Fatal(err)
	}
	if _, err := localca.Open(storage, time.Now()); err != nil {
		t.Fatal(err)
	}
	root, err := localca.FindRoot(storage)
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = give("trust", "-c", file, "--pem")
	if code != 0 || stdout != string(root.PEM) || stderr != "" {
		t.Errorf("--pem: %d, %q, %q", code, stdout, stderr)
	}
	code, stdout, stderr = give("trust", "-c", file)
	if code != 0 || stderr != "" {
		t.Errorf("%d, %q", code, stderr)
	}
	for _, want := range []string{"is " + root.Path + "\n", fmt.Sprintf("%x", sha256.Sum256(root.X509.Raw)), root.X509.Subject.CommonName,
		"curl --cacert ", "update-ca-certificates", "update-ca-trust", "security add-trusted-cert", "certutil -addstore", "nssdb", "firefox"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
	_, word, _ := strings.Cut(stdout, "curl --cacert ")
	word, _, _ = strings.Cut(word, " https:")
	if out, err := exec.Command("sh", "-c", "printf %s "+word).Output(); string(out) != root.Path || err != nil {
		t.Errorf("the path in a shell is %q, %v", out, err)
	}
}
