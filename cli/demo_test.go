package cli

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/localca"
)

// TestDemoPrints: what lb says to try leads to its listener, and believes its certificate.
func TestDemoPrints(t *testing.T) {
	storage := t.TempDir()
	if _, err := localca.Open(storage, time.Now()); err != nil {
		t.Fatal(err)
	}
	tls := func(names ...string) config.TLS {
		return config.TLS{ACME: config.ACME{Names: names, Storage: storage}}
	}
	ca := " --cacert " + localca.RootPath(storage)
	files := config.TLS{Certs: []config.Cert{{Cert: "a"}}, ACME: config.ACME{Names: []string{"localhost"}}}
	redirect := api.Listener{Address: "[::]:80", Role: api.RoleRedirect}
	for _, tc := range []struct {
		tls       config.TLS
		listeners api.Listeners
		want      string
	}{
		{config.TLS{}, api.Listeners{{Address: "0.0.0.0:8080", Role: api.RoleHTTP}}, "curl -i http://127.0.0.1:8080/\n"},
		{tls("localhost"), api.Listeners{{Address: "0.0.0.0:8443", Role: api.RoleHTTPS}}, "curl" + ca + " -i https://localhost:8443/\n"},
		{tls("localhost"), api.Listeners{redirect, {Address: "[::]:443", Role: api.RoleHTTPS}}, "curl" + ca + " -i https://localhost/\n"},
		{tls("::1"), api.Listeners{{Address: "[::]:443", Role: api.RoleHTTPS}}, "curl" + ca + " -i https://[::1]:443/\n"},
		{tls("example.com", "localhost"), api.Listeners{{Address: "[::]:443", Role: api.RoleHTTPS}, redirect}, "curl -i https://example.com/\n"},
		{files, api.Listeners{{Address: "10.0.0.1:8443", Role: api.RoleHTTPS}}, "curl -k -i https://10.0.0.1:8443/\n"},
	} {
		var out bytes.Buffer
		printDemo(&out, nil, &config.Config{TLS: tc.tls}, tc.listeners, nil)
		if !strings.Contains(out.String(), "  "+tc.want) {
			t.Errorf("%v at %v:\n%swant a line %q", tc.tls, tc.listeners, out.String(), tc.want)
		}
	}
}

// TestReadmeHTTPS runs the example of HTTPS in README.md line by line: another port, and
// this binary in the place of `go run .`.
func TestReadmeHTTPS(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	const port = "8443"
	lines := regexp.MustCompile(`(?m)^go run \. (serve .*--https .*)\ngo run \. (trust .*)$`).FindStringSubmatch(document(t, "README.md"))
	if lines == nil || strings.Count(lines[1], port) != 1 || strings.Count(lines[2], port) != 1 {
		t.Fatalf("README.md has no example of HTTPS on port %s: %q", port, lines)
	}
	for _, mode := range []string{"mt", "mp"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			free := fmt.Sprint(testkit.HoldPort(t))
			write(t, dir, "lb.toml", fmt.Sprintf("mode = %q\nadmin.address = \"\"\ntls.acme.storage = %q\n", mode, filepath.Join(dir, "acme")))
			p := start(t, dir, strings.Fields(strings.ReplaceAll(lines[1], port, free))...)
			p.Serving(t)
			sh := command(dir)
			sh.Path, sh.Args = "/bin/sh", []string{"sh", "-c", `"$0" ` + strings.ReplaceAll(lines[2], port, free), sh.Args[0]}
			out, err := sh.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "\nGET /\n") {
				t.Errorf("%s: %v\n%s", lines[2], err, out)
			}
			if code := p.stop(t, syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d after SIGTERM, want 0", code)
			}
		})
	}
}
