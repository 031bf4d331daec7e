package e2e

import (
	"bytes"
	"context"
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

	"lb/internal/testkit"
)

// Programs that users have, as clients that speak HTTP/2 to lb.

// startTold runs lb with both listeners before a backend that describes each request.
func startTold(t *testing.T, mode string) (p *process, secure string) {
	t.Helper()
	secure = testkit.FreePort(t)
	s := setup{admin: true, listeners: []string{"127.0.0.1:0", secure + "\ntls = true"}, backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, h2Page)
			return
		}
		told(w, r)
	}))}
	p = start(t, mode, s.withCert(t, t.TempDir()))
	noteListener(t, secure, true)
	return p, secure
}

// localhost is the address of lb with the name that is in its certificate.
func localhost(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return "localhost:" + port
}

func TestHTTP2Curl(t *testing.T) {
	bytesOnly(t)
	installed(t, "curl")
	const bytesUp = 3 << 20
	upload, _ := io.ReadAll(&pattern{size: bytesUp})
	sum, _ := digest(bytes.NewReader(upload))
	empty, _ := digest(strings.NewReader(""))
	hello, _ := digest(strings.NewReader("hello"))
	file := filepath.Join(t.TempDir(), "upload")
	testkit.WriteFile(t, file, string(upload))
	eachMode(t, func(t *testing.T, mode string) {
		p, secure := startTold(t, mode)
		nothing := "GET HTTP/1.1 length=0 te=[] err=<nil> " + empty
		for _, url := range []string{"http://" + p.addr + "/", "https://" + localhost(secure) + "/"} {
			flag := "--http2"
			if strings.HasPrefix(url, "http:") {
				flag = "--http2-prior-knowledge"
			}
			for _, tc := range []struct {
				args  []string
				stdin io.Reader
				want  string
			}{
				{nil, nil, nothing},
				{[]string{"-d", "hello"}, nil, "POST HTTP/1.1 length=5 te=[] err=<nil> " + hello},
				{[]string{"-T", file}, nil, fmt.Sprintf("PUT HTTP/1.1 length=%d te=[] err=<nil> %s", bytesUp, sum)},
				{[]string{"-T", "-"}, bytes.NewReader(upload), "PUT HTTP/1.1 length=-1 te=[chunked] err=<nil> " + sum},
				{[]string{"-H", "Expect: 100-continue", "--data-binary", "@" + file}, nil, fmt.Sprintf("POST HTTP/1.1 length=%d te=[] err=<nil> %s", bytesUp, sum)},
				{[]string{url, url}, nil, nothing + nothing + nothing},
			} {
				if len(tc.args) == 2 && flag != "--http2" {
					continue // curl 7.88 cannot keep a conn in the clear, with whatever server
				}
				out, verbose := curl(t, tc.stdin, append(append([]string{flag}, tc.args...), url)...)
				if out != tc.want || !strings.Contains(verbose, "< HTTP/2 200") {
					t.Errorf("curl %s %q: got %q, want %q\n%s", url, tc.args, out, tc.want, verbose)
				}
			}
		}
		out, _ := curl(t, nil, "--http2", "http://"+p.addr+"/") // asks for an upgrade
		if out != nothing {
			t.Errorf("curl that asks for an upgrade: %q", out)
		}
	})
}

func TestHTTP2Nghttp(t *testing.T) {
	bytesOnly(t)
	installed(t, "nghttp")
	eachMode(t, func(t *testing.T, mode string) {
		p, secure := startTold(t, mode)
		file := filepath.Join(t.TempDir(), "upload")
		testkit.WriteFile(t, file, strings.Repeat("x", 500_000))
		sum, _ := digest(strings.NewReader(strings.Repeat("x", 500_000)))
		for _, url := range []string{"http://" + p.addr + "/", "https://" + localhost(secure) + "/"} {
			out := run(t, nil, "nghttp", "-v", "-t", "60", url+"a", url+"b", "-m", "5")
			if n := strings.Count(out, ":status: 200"); n != 10 {
				t.Errorf("nghttp %s: %d answers, want 10\n%s", url, n, out)
			}
			if out = run(t, nil, "nghttp", "-t", "60", "--data="+file, "--continuation", "-p", "1", url); !strings.Contains(out, sum) {
				t.Errorf("nghttp %s with an upload:\n%s", url, out)
			}
		}
	})
}

func TestHTTP2H2load(t *testing.T) {
	bytesOnly(t)
	testkit.Long(t)
	installed(t, "h2load")
	eachMode(t, func(t *testing.T, mode string) {
		p, secure := startTold(t, mode)
		for _, url := range []string{"http://" + p.addr + "/", "https://" + localhost(secure) + "/"} {
			for _, how := range []string{"-n 4000 -c 10 -m 10", "-n 4000 -c 1 -m 100", "-n 500 -c 50 -m 1", "-n 400 -c 4 -m 10 -w 10 -W 11"} {
				out := run(t, nil, append(append([]string{"h2load"}, strings.Fields(how)...), url)...)
				if !regexp.MustCompile(`(\d+) total, \d+ started, \d+ done, \d+ succeeded, 0 failed, 0 errored, 0 timeout`).MatchString(out) {
					t.Errorf("h2load %s %s:\n%s", how, url, out)
				}
			}
		}
		if n, _ := sumOf(p.metrics(t), h2FloodMetric); n != 0 {
			t.Errorf("%v floods are counted", n)
		}
	})
}

// h2Script is what Node and Python do: 40 requests at once, half of them uploads, of
// which each answer is compared.
const nodeScript = `
const http2 = require("http2"), fs = require("fs")
const [url, ca] = process.argv.slice(2)
const c = http2.connect(url, ca ? { ca: fs.readFileSync(ca) } : {})
c.on("error", e => { console.error(e); process.exit(1) })
let left = 40
for (let i = 0; i < 40; i++) {
	const up = i % 2, s = c.request({ ":path": "/" + i, ":method": up ? "POST" : "GET" })
	let text = "", status
	s.on("response", h => { status = h[":status"] })
	s.setEncoding("utf8")
	s.on("data", d => { text += d })
	s.on("error", e => { console.error(e); process.exit(1) })
	s.on("end", () => {
		const want = up ? "of 100000 bytes" : "of 0 bytes"
		if (status !== 200 || !text.includes(want)) { console.error(status, text); process.exit(1) }
		if (--left === 0) c.close(() => console.log("all 40"))
	})
	s.end(up ? "x".repeat(100000) : undefined)
}
`

const pythonScript = `
import socket, ssl, sys
import h2.connection, h2.config, h2.events
host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sock = socket.create_connection((host, port))
if ca:
    ctx = ssl.create_default_context(cafile=ca)
    ctx.set_alpn_protocols(["h2"])
    sock = ctx.wrap_socket(sock, server_hostname="localhost")
    assert sock.selected_alpn_protocol() == "h2"
c = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
c.initiate_connection()
text, status, left = {}, {}, set()
for i in range(40):
    s = c.get_next_available_stream_id()
    c.send_headers(s, [(":method", "POST" if i % 2 else "GET"), (":scheme", "https"), (":path", f"/{i}"), (":authority", "localhost")], end_stream=not i % 2)
    if i % 2:
        c.send_data(s, b"x" * 1000, end_stream=True)
    left.add(s)
    text[s] = b""
sock.sendall(c.data_to_send())
while left:
    data = sock.recv(65536)
    assert data, "the conn ended"
    for e in c.receive_data(data):
        if isinstance(e, h2.events.ResponseReceived):
            status[e.stream_id] = dict(e.headers)[":status"]
        elif isinstance(e, h2.events.DataReceived):
            text[e.stream_id] += e.data
            c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.StreamEnded):
            assert status[e.stream_id] == "200" and (b"of 0 bytes" in text[e.stream_id] or b"of 1000 bytes" in text[e.stream_id]), (status, text)
            left.discard(e.stream_id)
        assert not isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)), e
    sock.sendall(c.data_to_send())
c.close_connection()
sock.sendall(c.data_to_send())
print("all 40")
`

func TestHTTP2Node(t *testing.T) {
	bytesOnly(t)
	testkit.Long(t)
	installed(t, "node")
	eachMode(t, func(t *testing.T, mode string) {
		p, secure := startTold(t, mode)
		dir := t.TempDir()
		testkit.WriteFile(t, filepath.Join(dir, "client.js"), nodeScript)
		for _, args := range [][]string{{"http://" + p.addr}, {"https://" + localhost(secure), ca(t).Write(t, dir, "ca")}} {
			if out := run(t, nil, append([]string{"node", filepath.Join(dir, "client.js")}, args...)...); !strings.Contains(out, "all 40") {
				t.Errorf("node %q:\n%s", args, out)
			}
		}
	})
}

// systemPython is Debian's, for which python3-h2 is.
const systemPython = "/usr/bin/python3"

func TestHTTP2Python(t *testing.T) {
	bytesOnly(t)
	testkit.Long(t)
	if exec.Command(systemPython, "-c", "import h2").Run() != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatal("python3-h2 is not installed, and .ci/run should have done that")
		}
		t.Skip("python3-h2 is not installed")
	}
	eachMode(t, func(t *testing.T, mode string) {
		p, secure := startTold(t, mode)
		dir := t.TempDir()
		testkit.WriteFile(t, filepath.Join(dir, "client.py"), pythonScript)
		for addr, file := range map[string]string{p.addr: "", secure: ca(t).Write(t, dir, "ca")} {
			host, port, _ := net.SplitHostPort(addr)
			if out := run(t, nil, systemPython, filepath.Join(dir, "client.py"), host, port, file); !strings.Contains(out, "all 40") {
				t.Errorf("python to %s:\n%s", addr, out)
			}
		}
	})
}

// h2Page fetches some things and says how they came.
const h2Page = `<!doctype html><title>page</title><p id="said">nothing</p><script>
Promise.all([...Array(20).keys()].map(i => fetch("/" + i, i % 2 ? {method: "POST", body: "x".repeat(100000)} : {}).then(r => r.text()))).then(
	all => { document.getElementById("said").textContent = all.filter(t => t.includes("of 100000 bytes")).length + " uploads over " +
		[...new Set(performance.getEntriesByType("resource").map(e => e.nextHopProtocol))] },
	err => { document.getElementById("said").textContent = "failed: " + err })
</script>`

func TestHTTP2Chromium(t *testing.T) {
	bytesOnly(t)
	testkit.Long(t)
	installed(t, "chromium")
	installed(t, "certutil")
	eachMode(t, func(t *testing.T, mode string) {
		_, secure := startTold(t, mode)
		if out, want := browse(t, "https://"+localhost(secure)+"/page"), "10 uploads over h2"; !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	})
}

// browse has Chromium, which trusts ca, load a page, and returns what that has become.
func browse(t *testing.T, url string) (dom string) {
	t.Helper()
	home := t.TempDir()
	db := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "certutil", "-d", "sql:"+db, "-N", "--empty-password")
	run(t, nil, "certutil", "-d", "sql:"+db, "-A", "-t", "C,,", "-n", "tests", "-i", ca(t).Write(t, home, "ca"))
	return run(t, []string{"HOME=" + home}, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
		"--user-data-dir="+filepath.Join(home, "profile"), "--virtual-time-budget=20000", "--dump-dom", url)
}

// h2spec is run with `go run`, so that it need not be installed.
const h2spec = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"

// h2specExcused are cases of h2spec that need not pass in the clear: HTTP/1.1 on the same
// port may answer what is no preface.
var h2specExcused = regexp.MustCompile(`3\.5\. HTTP/2 Connection Preface\n\s+(×|x) 2: `)

// h2spec passes, in the clear and over TLS.
func TestH2spec(t *testing.T) {
	bytesOnly(t)
	testkit.Long(t)
	exe := filepath.Join(t.TempDir(), "h2spec")
	if found, err := exec.LookPath("h2spec"); err == nil {
		exe = found
	} else if out, err := goInstall(t, h2spec, filepath.Dir(exe)); err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatalf("%s: %v\n%s", h2spec, err, out)
		}
		t.Skipf("%s cannot be built: %v\n%s", h2spec, err, out)
	}
	eachMode(t, func(t *testing.T, mode string) {
		p, secure := startTold(t, mode)
		for _, addr := range []string{p.addr, secure} {
			t.Run(scheme(addr), func(t *testing.T) {
				t.Parallel()
				wantH2spec(t, exe, addr)
			})
		}
	})
}

// wantH2spec runs h2spec against addr.
func wantH2spec(t *testing.T, exe, addr string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	args := []string{"-h", host, "-p", port, "-o", "10"}
	if scheme(addr) == "https" {
		args = append(args, "-t", "-k")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	b, _ := exec.CommandContext(ctx, exe, args...).CombinedOutput()
	out := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(string(b), "")
	found := regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`).FindStringSubmatch(out)
	if found == nil || found[1] < "140" {
		t.Fatalf("h2spec says\n%s", out)
	}
	_, failures, _ := strings.Cut(out, "Failures:")
	if failures = strings.TrimSpace(failures); found[4] != "0" && !(scheme(addr) == "http" && found[4] == "1" && h2specExcused.MatchString(failures)) {
		t.Errorf("%s\n%s", found[0], failures)
	}
}

// goInstall builds a program of a module into dir.
func goInstall(t *testing.T, program, dir string) (out []byte, err error) {
	cmd := exec.CommandContext(t.Context(), "go", "install", program)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	return cmd.CombinedOutput()
}
