package cli

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/backends"
	"lb/bench"
	"lb/internal/testkit"
)

func TestBenchCommand(t *testing.T) {
	s, err := backends.Start(backends.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	write(t, dir, "body", "some bytes")
	ca := testkit.NewCA(t, "authority")
	write(t, dir, "ca.pem", string(ca.Cert))
	secure := secureServer(t, ca)
	nobody := testkit.RefusingAddr(t)
	for _, tc := range []struct {
		args string // URL and path of the backend go for $
		code int
		want []string // of the output
	}{
		{"-n 500 -c 10 $/bytes/10", 0, []string{"500 answers in ", "per second", "p99.9 ", "2xx 500", "errors   none"}},
		{"-n 500 -c 10 --verify-pattern --pipeline 4 $/chunked/1000", 0, []string{"500 answers", "errors   none"}},
		{"-n 50 --close --verify --body-file body -H A:b $/echo", 0, []string{"50 answers", "errors   none"}},
		{"-n 500 -c 4 --http2 -m 16 --verify-pattern $/bytes/100000", 0, []string{"500 answers", "errors   none"}},
		{"-n 5 -m 2 $/", 1, []string{"HTTP/1.1 has no streams"}},
		{"-n 50 --loops 1 -X HEAD $/", 0, []string{"50 answers"}},
		{"-d 50ms -r 1000 -c 5 --warmup 20ms $/", 0, []string{"50 answers in "}},
		{"-n 50 --body-bytes 100 $/status/503", 1, []string{"5xx 50", "errors   status 50"}},
		{"-n 50 --verify $/headers", 0, []string{"errors   none"}},
		{"-n 5 --verify-pattern $/", 1, []string{"lb: --verify-pattern: "}},
		{"-n 10 -c 2 " + nobody, 1, []string{"0 answers", "connect 10"}},
		{"-n 20 -c 2 -k " + secure.URL, 0, []string{"20 answers", "TLS 1.3, TLS_AES_128_GCM_SHA256, 2 handshakes, 0 resumed", "errors   none"}},
		{"-n 20 -c 2 --cacert ca.pem --close --resume --tls-max 1.2 " + secure.URL, 0, []string{"20 answers", "TLS 1.2, ", "20 handshakes, 18 resumed", "errors   none"}},
		{"-n 2 -c 1 " + secure.URL, 1, []string{"unknown authority; trust it with --cacert FILE, or use --insecure", "errors   handshake 2"}},
		{"-n 2 --cacert body " + secure.URL, 1, []string{"lb: --cacert: body has no certificate in PEM"}},
		{"-n 2 --resume $/", 1, []string{"lb: --resume is for https:// URLs"}},
		{"-n 2 --tls-max 1.1 " + secure.URL, 2, []string{"lb: --tls-max must be one of "}},
		{"-n 5 -H nothing $/", 1, []string{`lb: --header: "nothing" is not`}},
		{"-n 5 --body-file missing $/", 1, []string{"lb: open missing: "}},
		{"-n 5 --body-file body --body-bytes 1 $/", 2, []string{"can't be used together"}},
		{"-n many $/", 2, []string{"lb: --requests: "}},
		{"", 2, []string{"lb: expected \"<url>\""}},
	} {
		args := strings.Fields("bench " + strings.ReplaceAll(tc.args, "$", "http://"+s.Addr()))
		cmd := command(dir, args...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != tc.code {
			t.Errorf("%v: exit code %d, want %d", args, code, tc.code)
		}
		for _, want := range tc.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%v: want %q in\n%s", args, want, out)
			}
		}
	}
}

// secureServer is a server of net/http with a certificate of ca.
func secureServer(t *testing.T, ca *testkit.CA) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, testkit.Leaf{IPs: []string{"127.0.0.1"}}).TLS(t)}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestBenchJSON(t *testing.T) {
	s, err := backends.Start(backends.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := command(t.TempDir(), "bench", "-n", "100", "--json", s.Addr()+"/bytes/7").Output()
	if err != nil {
		t.Fatal(err)
	}
	var r bench.Result
	if err := json.Unmarshal(out, &r); err != nil || r.Answers != 100 || r.Latency.TotalCount() != 100 {
		t.Errorf("%v: %d answers in\n%s", err, r.Answers, out)
	}
}

// TestBenchInterrupted: Ctrl-C ends the run and shows what was measured.
func TestBenchInterrupted(t *testing.T) {
	asked := make(chan bool, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // answers one request and then none
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(testkit.Patience))
		buf := make([]byte, 1000)
		c.Read(buf)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		c.Read(buf)
		asked <- true
		c.Read(buf)
	}()
	p := start(t, t.TempDir(), "bench", "-c", "1", "-n", "10", ln.Addr().String())
	testkit.Wait(t, asked, "the second request")
	code := p.stop(t, syscall.SIGINT)
	for _, want := range []string{"1 answers in ", "stopped early, with 1 requests under way", "errors   none"} {
		if !strings.Contains(p.Out.String(), want) {
			t.Errorf("want %q in\n%s", want, p.Out.String())
		}
	}
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	if newProgressBar(&out) != nil {
		t.Error("a bar on what is no terminal")
	}
	bar := &progressBar{&out}
	bar.show(bench.Progress{Elapsed: -time.Second})
	bar.show(bench.Progress{Elapsed: 2 * time.Second, Requests: 70, Errors: 3, Share: .5})
	bar.show(bench.Progress{Elapsed: 4 * time.Second, Requests: 140, Errors: 3, Share: 1})
	bar.clear()
	half := strings.Repeat("#", barCells/2) + strings.Repeat(".", barCells/2)
	for _, want := range []string{"warming up, 1.0 s", "[" + half + "]  50 %  70 requests, 3 errors, 2.0 s", "100 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in %q", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\n") {
		t.Errorf("more than one line: %q", out.String())
	}
}

func TestSpanAndBinary(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00 us", 12_345: "12.3 us", 999_499: "999 us", 999_500: "1.00 ms", 1_500_000: "1.50 ms",
		99_960_000: "100 ms", 999 * time.Millisecond: "999 ms", 61 * time.Second: "61.0 s", time.Hour: "3600 s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0.00 B", 1000: "1000 B", 1536: "1.50 KiB", 1 << 20: "1.00 MiB", 3 << 40: "3072 GiB"} {
		if got := binary(n); got != want {
			t.Errorf("%v bytes: %q, want %q", n, got, want)
		}
	}
}
