package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// TestCheckReadsCertificates: lb check says what lb serve would say about the files of
// certificates and keys, one line each, and warns of what can be served.
func TestCheckReadsCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := testkit.NewCA(t, "ca")
	site := testkit.Leaf{Names: []string{"a.test"}}
	ca.Issue(t, site).Write(t, dir, "good")
	ca.Issue(t, site).Write(t, dir, "other")
	ca.Issue(t, site.Expired()).Write(t, dir, "old")
	_, open := ca.Issue(t, site).Write(t, dir, "open")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tc := range []struct {
		cert, key, ca string
		code          int
		want          []string // each line of the output has one, in order
	}{
		{"good.pem", "good.key", "good.pem", 0, []string{": ok, "}},
		{"good.pem", "other.key", "good.pem", exitFault, []string{"lb: tls.key: " + in("other.key") + " does not fit the certificate " + in("good.pem")}},
		{"none.pem", "good.key", "good.key", exitFault, []string{
			"lb: tls.cert: " + in("none.pem") + " does not exist", "lb: backend_tls.ca: " + in("good.key") + " has no certificate"}},
		{"old.pem", "old.key", "good.pem", 0, []string{": ok, ", "lb: warning: tls.cert: " + in("old.pem") + " has expired on "}},
		{"open.pem", "open.key", "good.pem", 0, []string{": ok, ", "lb: warning: tls.key: " + open + " has a private key that every user"}},
	} {
		testkit.WriteFile(t, in("lb.toml"), fmt.Sprintf("tls.cert = %q\ntls.key = %q\nbackend_tls.ca = %q\nbackends = [{ host = \"a\", port = 443 }]\n",
			tc.cert, tc.key, tc.ca))
		var out, errs bytes.Buffer
		code := run([]string{"check", in("lb.toml")}, &out, &errs)
		lines := strings.Split(strings.TrimSuffix(out.String()+errs.String(), "\n"), "\n")
		ok := code == tc.code && len(lines) == len(tc.want)
		for i := 0; ok && i < len(lines); i++ {
			ok = strings.Contains(lines[i], tc.want[i])
		}
		if !ok {
			t.Errorf("%v: exit code %d with\n%s", tc, code, strings.Join(lines, "\n"))
		}
	}
}

// TestCheckReadsDirectoryCA: so it does with the authority of an ACME server.
func TestCheckReadsDirectoryCA(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lb.toml")
	testkit.WriteFile(t, path, "tls.acme = { names = [\"a.test\"], directory = \"https://ca.test/\", directory_ca = \"none.pem\" }\nbackends = [{ socket = \"/a\" }]\n")
	code, out, errs := outcome(dir, "check", path)
	if want := "lb: tls.acme.directory_ca: " + filepath.Join(dir, "none.pem") + " does not exist\n"; code != exitFault || out != "" || errs != want {
		t.Errorf("exit code %d, %q, %q; want %q", code, out, errs, want)
	}
}
