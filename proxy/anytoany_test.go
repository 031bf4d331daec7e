package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"lb/config"
	"lb/internal/testkit"
)

// streams returns a client that speaks HTTP/2 to the proxy, without TLS.
func (r *backRig) streams() *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: testkit.Patience}
}

// TestAnyToAny: a client of either protocol, and a backend of either, with trailers both ways,
// through small windows.
func TestAnyToAny(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	for _, protocol := range []string{config.ProtocolHTTP1, config.ProtocolH2C} {
		f, _ := newH2Far(t, nil, []string{"http/1.1"}, func(w http.ResponseWriter, r *http.Request) {
			all := sha256.New()
			io.Copy(all, r.Body)
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("X-Proto", r.Proto)
			w.Header().Set("X-Got", fmt.Sprintf("%x %s", all.Sum(nil), r.Trailer.Get("X-Sum")))
			w.Write(body)
			w.Header().Set("X-Sum", sum)
		})
		cfg := h2Config(config.ProtocolH2C, f)
		cfg.Pools[0].Protocol = protocol
		r := newBackRig(t, cfg, nil)
		h1 := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testkit.Patience}
		for name, c := range map[string]*http.Client{"HTTP/1": h1, "HTTP/2": r.streams()} {
			q, err := http.NewRequest("POST", "http://"+r.addr+"/", io.NopCloser(bytes.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			q.Trailer = http.Header{"X-Sum": {sum}}
			a, err := c.Do(q)
			if err != nil {
				t.Errorf("%s to %s: %v", name, protocol, err)
				continue
			}
			all, err := io.ReadAll(a.Body)
			a.Body.Close()
			want := "HTTP/1.1"
			if protocol == config.ProtocolH2C {
				want = "HTTP/2.0"
			}
			if !bytes.Equal(all, body) || err != nil || a.Header.Get("X-Proto") != want || a.Header.Get("X-Got") != sum+" "+sum || a.Trailer.Get("X-Sum") != sum {
				t.Errorf("%s to %s: %d bytes, %v, %v, trailers %v", name, protocol, len(all), err, a.Header, a.Trailer)
			}
		}
	}
}

// TestStreamsBoth: over HTTP/2 on both sides, both bodies go on at once, as in a gRPC call that
// streams both ways.
func TestStreamsBoth(t *testing.T) {
	f, _ := newH2Far(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		for lines := bufio.NewReader(r.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				w.Header().Set("Grpc-Status", "0")
				return
			}
			io.WriteString(w, strings.ToUpper(line))
			w.(http.Flusher).Flush()
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, f), nil)
	from, to := io.Pipe()
	q, err := http.NewRequest("POST", "http://"+r.addr+"/", from)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.streams().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	got := bufio.NewReader(a.Body)
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		io.WriteString(to, line)
		if back, err := got.ReadString('\n'); back != strings.ToUpper(line) {
			t.Fatalf("%q, %v", back, err)
		}
	}
	to.Close()
	if rest, err := io.ReadAll(got); len(rest) > 0 || err != nil || a.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("%q, %v, %v", rest, err, a.Trailer)
	}
}
