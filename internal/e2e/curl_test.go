package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// curl runs curl with args, and with stdin unless that is nil. It returns the standard
// output and that of -v.
func curl(t *testing.T, stdin io.Reader, args ...string) (out, verbose string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "curl", append([]string{"-q", "-sS", "-v", "--noproxy", "*", "--cacert", ca(t).Write(t, t.TempDir(), "ca")}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("curl %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), strings.ReplaceAll(stderr.String(), "\r", "")
}

// told answers with a description of the request: method, framing and the digest of
// the body. It reads the body first, which makes net/http send a 100 if one is due.
func told(w http.ResponseWriter, r *http.Request) {
	sum, err := digest(r.Body)
	text := fmt.Sprintf("%s %s length=%d te=%v err=%v %s", r.Method, r.Proto, r.ContentLength, r.TransferEncoding, err, sum)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	io.WriteString(w, text)
}

func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	const bytesUp = 3 << 20
	upload, err := io.ReadAll(&pattern{size: bytesUp})
	if err != nil {
		t.Fatal(err)
	}
	sum, _ := digest(bytes.NewReader(upload))
	empty, _ := digest(strings.NewReader(""))
	hello, _ := digest(strings.NewReader("hello"))
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, upload, 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := "GET HTTP/1.1 length=0 te=[] err=<nil> " + empty
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(serve(t, told))})
		for _, tc := range []struct {
			name  string
			args  []string
			stdin io.Reader
			want  string   // on standard output
			says  []string // by -v, each a line or its beginning
		}{
			{"GET", nil, nil, nobody, []string{"< HTTP/1.1 200 OK"}},
			{"POST", []string{"-d", "hello"}, nil,
				"POST HTTP/1.1 length=5 te=[] err=<nil> " + hello, []string{"< HTTP/1.1 200 OK"}},
			{"Expect", []string{"-H", "Expect: 100-continue", "--expect100-timeout", "60", "--data-binary", "@" + file}, nil,
				fmt.Sprintf("POST HTTP/1.1 length=%d te=[] err=<nil> %s", bytesUp, sum),
				[]string{"< HTTP/1.1 100 Continue", "< HTTP/1.1 200 OK"}},
			{"HTTP/1.0", []string{"--http1.0"}, nil, nobody, []string{"> GET / HTTP/1.0", "* Closing connection"}},
			{"HTTP/1.0 POST", []string{"--http1.0", "-d", "hello"}, nil,
				"POST HTTP/1.1 length=5 te=[] err=<nil> " + hello, []string{"> POST / HTTP/1.0"}},
			{"PUT", []string{"-T", file, "-H", "Expect:"}, nil,
				fmt.Sprintf("PUT HTTP/1.1 length=%d te=[] err=<nil> %s", bytesUp, sum), nil},
			{"PUT in chunks", []string{"-T", "-"}, bytes.NewReader(upload),
				"PUT HTTP/1.1 length=-1 te=[chunked] err=<nil> " + sum, []string{"> Transfer-Encoding: chunked"}},
			{"twice on one conn", []string{p.url("/")}, nil, nobody + nobody, []string{"* Re-using existing connection"}},
		} {
			out, verbose := curl(t, tc.stdin, append(append([]string{"--http1.1"}, tc.args...), p.url("/"))...)
			if out != tc.want {
				t.Errorf("%s: got %q, want %q", tc.name, out, tc.want)
			}
			for _, line := range tc.says {
				if !strings.Contains("\n"+verbose, "\n"+line) {
					t.Errorf("%s: no %q in\n%s", tc.name, line, verbose)
				}
			}
		}
		out, _ := curl(t, nil, "--http1.1", "--head", p.url("/"))
		if want := fmt.Sprintf("Content-Length: %d\r\n", len(nobody)+1); !strings.Contains(out, want) || !strings.HasSuffix(out, "\r\n\r\n") {
			t.Errorf("HEAD: got %q, want %q in it and nothing behind the head", out, want)
		}
	})
}
