package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

// Programs that users have, as clients that speak TLS to lb.

// installed skips the test if a program is missing, unless LB_CI says that all are there.
func installed(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("LB_CI") != "" {
		t.Fatalf("%s is not installed, and .ci/run should have done that", program)
	}
	t.Skipf("%s is not installed", program)
}

// run runs a program to its end and returns what it has written. It fails the test if the
// program fails.
func run(t *testing.T, env []string, argv ...string) (out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, b)
	}
	return string(b)
}

// startSecure runs lb with TLS in front of a backend that answers each request with its
// target.
func startSecure(t *testing.T, mode string) *process {
	t.Helper()
	return start(t, mode+secured, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "target "+r.URL.Path+"\n")
	}))})
}

// sClient is a running `openssl s_client`.
type sClient struct {
	*testkit.Process
	in io.WriteCloser
}

// sclient connects to lb at addr, verifies its certificate and waits for that.
func sclient(t *testing.T, addr string, args ...string) *sClient {
	t.Helper()
	cmd := exec.Command("openssl", append([]string{"s_client", "-connect", addr, "-servername", "localhost", "-verify_hostname", "localhost",
		"-CAfile", ca(t).Write(t, t.TempDir(), "ca"), "-verify_return_error"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &sClient{testkit.Start(t, cmd), in}
	c.want(t, "Verify return code: 0 (ok)")
	return c
}

// want waits until c has written text.
func (c *sClient) want(t *testing.T, text string) {
	t.Helper()
	testkit.Until(t, fmt.Sprintf("openssl to say %q", text), func() bool {
		ended := c.Ended()
		if strings.Contains(c.Out.String()+c.Log.String(), text) {
			return true
		}
		if ended {
			t.Fatalf("openssl has ended without %q:\n%s%s", text, c.Out.String(), c.Log.String())
		}
		return false
	})
}

// ask sends a request for path and waits for its answer.
func (c *sClient) ask(t *testing.T, path string) {
	t.Helper()
	io.WriteString(c.in, lines("GET "+path+" HTTP/1.1", "Host: localhost"))
	c.want(t, "target "+path+"\n")
}

// leave ends c and waits for that.
func (c *sClient) leave(t *testing.T) {
	t.Helper()
	c.in.Close()
	testkit.Wait(t, c.Exited, "openssl to end")
}

func TestOpenSSL(t *testing.T) {
	installed(t, "openssl")
	eachMode(t, func(t *testing.T, mode string) {
		p := startSecure(t, mode)
		for _, version := range []string{"1.2", "1.3"} {
			flag, session := "-tls"+strings.ReplaceAll(version, ".", "_"), filepath.Join(t.TempDir(), "session")
			c := sclient(t, p.addr, flag, "-sess_out", session)
			c.want(t, "New, TLSv"+version)
			c.ask(t, "/first")
			c.leave(t)
			for range 4 { // whichever loop it meets
				c = sclient(t, p.addr, flag, "-sess_in", session)
				c.want(t, "Reused, TLSv"+version)
				c.ask(t, "/resumed")
				c.leave(t)
			}
		}
		// s_client takes a line of one letter as a command, if it is read alone.
		c := sclient(t, p.addr, "-tls1_3")
		c.ask(t, "/before")
		io.WriteString(c.in, "K\n") // we change our key, and want lb to change its own
		c.want(t, "KEYUPDATE")
		c.ask(t, "/after")
		c.ask(t, "/again")
		c.leave(t)

		c = sclient(t, p.addr, "-tls1_2")
		c.ask(t, "/before")
		io.WriteString(c.in, "R\n")
		c.want(t, "RENEGOTIATING")
		c.want(t, "SSL alert number")
		testkit.Wait(t, c.Exited, "openssl to end")
		resp, _ := get(t, newClient(t), p.url("/"))
		want200(t, resp, "")
	})
}

// Versions before TLS 1.2, and suites without forward secrecy or with CBC, are refused.
func TestOldTLSRefused(t *testing.T) {
	testkit.Long(t)
	installed(t, "openssl")
	eachMode(t, func(t *testing.T, mode string) {
		p := startSecure(t, mode)
		for _, args := range []string{"-tls1 -cipher DEFAULT@SECLEVEL=0", "-tls1_1 -cipher DEFAULT@SECLEVEL=0",
			"-tls1_2 -cipher AES128-GCM-SHA256", "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA"} {
			argv := append([]string{"s_client", "-connect", p.addr}, strings.Fields(args)...)
			out, err := exec.CommandContext(t.Context(), "openssl", argv...).CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("alert")) {
				t.Errorf("%s: %v, want an alert in\n%s", args, err, out)
			}
		}
	})
}

func TestWrk(t *testing.T) {
	testkit.Long(t)
	installed(t, "wrk")
	eachMode(t, func(t *testing.T, mode string) {
		p := startSecure(t, mode)
		out := run(t, nil, "wrk", "-t", "1", "-c", "20", "-d", "2s", "--timeout", "60s", p.url("/wrk"))
		if found := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out); found == nil || found[1] == "0" || strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
			t.Errorf("wrk says\n%s", out)
		}
	})
}

func TestH2load(t *testing.T) {
	testkit.Long(t)
	installed(t, "h2load")
	eachMode(t, func(t *testing.T, mode string) {
		p := startSecure(t, mode)
		out := run(t, nil, "h2load", "--h1", "-n", "1000", "-c", "20", p.url("/h2load"))
		if !strings.Contains(out, "1000 succeeded, 0 failed, 0 errored, 0 timeout") || !strings.Contains(out, "Application protocol: http/1.1") {
			t.Errorf("h2load says\n%s", out)
		}
	})
}

// page is one whose script fetches something and says what came.
const page = `<!doctype html><title>page</title><p id="said">nothing</p><script>
fetch("/data", {method: "POST", body: "x".repeat(100000)}).then(r => r.text()).then(
	text => { document.getElementById("said").textContent = "said " + text + " over " + location.protocol },
	err => { document.getElementById("said").textContent = "failed: " + err })
</script>`

// A browser that trusts the authority loads a page, and its script fetches something.
func TestChromium(t *testing.T) {
	testkit.Long(t)
	bytesOnly(t)
	installed(t, "chromium")
	installed(t, "certutil")
	eachMode(t, func(t *testing.T, mode string) {
		p := start(t, mode+secured, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				n, _ := io.Copy(io.Discard, r.Body)
				fmt.Fprintf(w, "%d bytes, %s", n, r.Header.Get("X-Forwarded-Proto"))
				return
			}
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, page)
		}))})
		out := browse(t, "https://"+localhost(p.addr)+"/")
		if want := "said 100000 bytes, https over https:"; !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	})
}

// accepted are findings of testssl.sh that may be worse than LOW, with the reason.
var accepted = map[string]string{
	"engine_problem":        "the openssl of testssl.sh has no GOST",
	"cert_chain_of_trust":   "the authority of the tests is not in the store of testssl.sh",
	"cert_expirationStatus": "certificates of the tests are valid for a day",
	"cert_notAfter":         "certificates of the tests are valid for a day",
	"cert_revocation":       "the authority of the tests has no list of revoked certificates, and no OCSP",
}

// testssl.sh finds nothing that is worse than LOW.
func TestTestssl(t *testing.T) {
	testkit.Long(t)
	bytesOnly(t)
	installed(t, "testssl")
	t.Parallel()
	p := startSecure(t, "mp")
	_, port, _ := net.SplitHostPort(p.addr)
	file := filepath.Join(t.TempDir(), "findings.json")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
		"--nodns", "none", "-p", "-s", "-f", "-S", "-P", "-U", "--jsonfile", file, "https://localhost:"+port+"/").CombinedOutput()
	var findings []struct{ ID, Severity, Finding string }
	b, _ := os.ReadFile(file)
	if jsonErr := json.Unmarshal(b, &findings); jsonErr != nil || len(findings) < 60 {
		t.Fatalf("testssl: %v, %v, %d findings\n%s", err, jsonErr, len(findings), out)
	}
	for _, f := range findings {
		switch f.Severity {
		case "MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN":
			if accepted[f.ID] == "" {
				t.Errorf("%s, %s: %s", f.ID, f.Severity, f.Finding)
			}
		}
	}
}
