package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

// Clients of HTTP/1 and HTTP/2 to backends of HTTP/1 and HTTP/2: whatever one can say to
// the other arrives. Both sides are net/http.

// h2Server is a backend of net/http that speaks kind. It returns its address.
func h2Server(t *testing.T, kind string, h http.HandlerFunc) (addr string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	switch kind {
	case "h2c":
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	case "h2":
		s.EnableHTTP2 = true
		s.TLS = &tls.Config{Certificates: []tls.Certificate{named(t).TLS(t)}, NextProtos: []string{"h2"}}
		s.StartTLS()
	default:
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// h2Net is a client of net/http that speaks kind to lb, to the pool of backends that
// speak to.
func h2Net(t *testing.T, kind, to string) *http.Client {
	c := newClient(t)
	tr := c.Transport.(*http.Transport)
	tr.Protocols = new(http.Protocols)
	tr.ExpectContinueTimeout = testkit.Patience
	switch kind {
	case "h2c":
		tr.Protocols.SetUnencryptedHTTP2(true)
	case "h2":
		tr.Protocols.SetHTTP2(true)
		tr.TLSClientConfig.NextProtos = nil
	default:
		tr.Protocols.SetHTTP1(true)
	}
	c.Transport = h2Sender{tr, to}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// h2Sender adds the field that chooses the backend.
type h2Sender struct {
	http.RoundTripper
	to string
}

func (s h2Sender) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set(h2To, s.to)
	return s.RoundTripper.RoundTrip(r)
}

const matrixBytes = 8 << 20

// h2Handler is the backend. gone gets the path of each request to /hang that has ended.
func h2Handler(gone chan<- string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		verb, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n, _ := strconv.ParseInt(arg, 10, 64)
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		switch verb {
		case "echo":
			rc.EnableFullDuplex()
			w.Header().Set("Trailer", "X-Sum, X-Seen")
			rc.Flush()
			sent, err := io.Copy(flushing{w, rc}, r.Body)
			w.Header().Set("X-Sum", fmt.Sprint(sent, err))
			w.Header().Set("X-Seen", r.Trailer.Get("X-Up"))
		case "digest":
			got, err := digest(r.Body)
			fmt.Fprintf(w, "%s, %v", got, err)
		case "bytes":
			w.Header().Set("Content-Length", arg)
			(&pattern{size: n}).WriteTo(w)
		case "stream":
			rc.Flush()
			(&pattern{size: n}).WriteTo(w)
		case "status":
			w.WriteHeader(int(n))
		case "hints":
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "page")
		case "cut":
			w.Header().Set("Content-Length", "100000")
			w.Write(make([]byte, 50000))
			rc.Flush()
			panic(http.ErrAbortHandler)
		case "cutstream":
			w.Write(make([]byte, 50000))
			rc.Flush()
			panic(http.ErrAbortHandler)
		case "hang":
			io.WriteString(w, "first")
			rc.Flush()
			<-r.Context().Done()
			gone <- r.URL.Path
		case "fields":
			w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
			fmt.Fprintf(w, "%s|%s|%s|%s|%s", r.Host, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Host"), r.Header["X-Two"])
		}
	}
}

// flushing flushes what it writes.
type flushing struct {
	io.Writer
	rc *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	f.rc.Flush()
	return n, err
}

// h2Pair is one client and the backend to which its requests go.
type h2Pair struct {
	from, to string
	client   *http.Client
	url      string
	gone     chan string
}

// TestHTTP2Matrix is every exchange between every pair.
func TestHTTP2Matrix(t *testing.T) {
	bytesOnly(t)
	eachMode(t, func(t *testing.T, mode string) {
		addrs, gone := map[string]string{}, map[string]chan string{}
		for _, kind := range h2Kinds {
			gone[kind] = make(chan string, 100)
			addrs[kind] = h2Server(t, kind, h2Handler(gone[kind]))
		}
		dir := t.TempDir()
		secure := testkit.FreePort(t)
		s := setup{admin: true, backends: to(addrs["http1"]), tables: "[eject]\nenabled = false\n" + h2Pools(t, dir, "", addrs), listeners: []string{"127.0.0.1:0", secure + "\ntls = true"}}
		p := start(t, mode, s.withCert(t, dir))
		t.Run("all", func(t *testing.T) {
			for _, from := range h2Kinds {
				for _, to := range h2Kinds {
					pair := h2Pair{from, to, h2Net(t, from, to), "http://" + p.addr, gone[to]}
					if from == "h2" {
						pair.url = "https://" + secure
					}
					t.Run(from+" to "+to, func(t *testing.T) {
						t.Parallel()
						for name, act := range matrix {
							if err := act(pair); err != nil {
								t.Errorf("%s: %v", name, err)
							}
						}
					})
				}
			}
		})
		if m := p.metrics(t); m["lb_panics_total"] != 0 {
			t.Errorf("%v panics", m["lb_panics_total"])
		}
	})
}

// do sends a request and returns the whole answer.
func (p h2Pair) do(method, path string, body io.Reader, change func(r *http.Request)) (*http.Response, string, error) {
	r, err := http.NewRequest(method, p.url+path, body)
	if err != nil {
		return nil, "", err
	}
	if change != nil {
		change(r)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if want := map[bool]int{false: 2, true: 1}[p.from == "http1"]; resp.ProtoMajor != want {
		return nil, "", fmt.Errorf("the answer is %s", resp.Proto)
	}
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// expect does one exchange and compares status and body.
func (p h2Pair) expect(method, path string, body io.Reader, status int, want string) error {
	resp, got, err := p.do(method, path, body, nil)
	if err != nil || resp.StatusCode != status || got != want || resp.Header.Get("X-Method") != method {
		return fmt.Errorf("%s %s: %v, %q, %w", method, path, resp, got[:min(len(got), 200)], err)
	}
	return nil
}

// matrix has the exchanges.
var matrix = map[string]func(p h2Pair) error{
	"methods": func(p h2Pair) error {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
			if err := p.expect(method, "/bytes/10", nil, 200, string((&pattern{size: 10}).next(10))); err != nil {
				return err
			}
		}
		return nil
	},
	"HEAD": func(p h2Pair) error {
		resp, body, err := p.do("HEAD", "/bytes/1234", nil, nil)
		if err != nil || body != "" || resp.Header.Get("Content-Length") != "1234" {
			return fmt.Errorf("%v, %q, %w", resp, body, err)
		}
		return p.expect("HEAD", "/stream/10", nil, 200, "")
	},
	"statuses without content": func(p h2Pair) error {
		return errors.Join(p.expect("GET", "/status/204", nil, 204, ""), p.expect("GET", "/status/304", nil, 304, ""), p.expect("GET", "/status/404", nil, 404, ""),
			p.expect("GET", "/status/503", nil, 503, ""), p.expect("GET", "/bytes/0", nil, 200, ""), p.expect("GET", "/stream/0", nil, 200, ""))
	},
	"lengths": func(p h2Pair) error {
		for n, want := range map[int]string{0: "0", 1: "1", 16384: "16384", 16385: "16385", 70000: "70000"} {
			resp, body, err := p.do("POST", "/echo", bytes.NewReader(make([]byte, n)), nil)
			if err != nil || len(body) != n || resp.Header.Get("X-Length") != want && n > 0 {
				return fmt.Errorf("%d bytes: %d came back, the length was %s, %w", n, len(body), resp.Header.Get("X-Length"), err)
			}
			if resp, body, err = p.do("POST", "/echo", onlyReader{bytes.NewReader(make([]byte, n))}, nil); err != nil || len(body) != n {
				return fmt.Errorf("%d bytes without a length: %d came back, %v, %w", n, len(body), resp, err)
			}
		}
		return nil
	},
	"trailers": func(p h2Pair) error {
		resp, body, err := p.do("POST", "/echo", onlyReader{strings.NewReader("abcdef")}, func(r *http.Request) { r.Trailer = http.Header{"X-Up": {"six"}} })
		if err != nil || body != "abcdef" || resp.Trailer.Get("X-Sum") != "6 <nil>" || resp.Trailer.Get("X-Seen") != "six" {
			return fmt.Errorf("%v, %q, %v, %w", resp, body, resp.Trailer, err)
		}
		return nil
	},
	"early hints": func(p h2Pair) error {
		hinted := 0
		_, body, err := p.do("GET", "/hints", nil, func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code == 103 && h.Get("Link") == "</a.css>; rel=preload" {
					hinted++
				}
				return nil
			}}))
		})
		if err != nil || body != "page" || hinted != 1 {
			return fmt.Errorf("%q, %d hints, %w", body, hinted, err)
		}
		return nil
	},
	"Expect": func(p h2Pair) error {
		_, body, err := p.do("POST", "/digest", strings.NewReader("hello"), func(r *http.Request) { r.Header.Set("Expect", "100-continue") })
		if want, _ := digest(strings.NewReader("hello")); err != nil || body != want+", <nil>" {
			return fmt.Errorf("%q, %w", body, err)
		}
		return nil
	},
	"fields": func(p h2Pair) error {
		resp, body, err := p.do("GET", "/fields", nil, func(r *http.Request) { r.Host, r.Header["X-Two"] = "a.test:8443", []string{"1", "2"} })
		scheme, _, _ := strings.Cut(p.url, ":")
		if want := "a.test:8443|" + scheme + "|127.0.0.1|a.test:8443|[1 2]"; err != nil || body != want || len(resp.Header["Set-Cookie"]) != 2 || resp.Header.Get("Date") == "" {
			return fmt.Errorf("%q, want %q, %v, %w", body, want, resp, err)
		}
		return nil
	},
	"large bodies": func(p h2Pair) error {
		want, _ := digest(&pattern{size: matrixBytes})
		if err := p.expect("POST", "/digest", &pattern{size: matrixBytes}, 200, want+", <nil>"); err != nil {
			return err
		}
		for _, path := range []string{"/bytes/", "/stream/"} {
			resp, err := p.client.Get(p.url + path + fmt.Sprint(matrixBytes))
			if err != nil {
				return err
			}
			got, err := digest(resp.Body)
			if resp.Body.Close(); err != nil || got != want {
				return fmt.Errorf("%s: got %s, %w; want %s", path, got, err, want)
			}
		}
		return nil
	},
	"cut answers": func(p h2Pair) error {
		for _, path := range []string{"/cut", "/cutstream"} {
			if resp, body, err := p.do("GET", path, nil, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%s: %v and %d bytes look whole, or never end (%v)", path, resp, len(body), err)
			}
		}
		return nil
	},
	"streams both ways": streamsBothWays,
	"a client that leaves": func(p h2Pair) error {
		if p.from == "http1" { // it may still read
			return nil
		}
		ctx, cancel := context.WithCancel(context.Background())
		path := fmt.Sprintf("/hang/%s/%d", p.from, time.Now().UnixNano())
		r, _ := http.NewRequestWithContext(ctx, "GET", p.url+path, nil)
		resp, err := p.client.Do(r)
		if err != nil {
			cancel()
			return err
		}
		io.ReadFull(resp.Body, make([]byte, 5))
		cancel()
		for late := time.After(testkit.Patience); ; {
			select {
			case got := <-p.gone:
				if got == path {
					return nil
				}
				p.gone <- got // of another client
			case <-late:
				return errors.New("the backend has not heard of it")
			}
		}
	},
}

// streamsBothWays sends a piece only after the one before it has come back.
func streamsBothWays(p h2Pair) error {
	body, pieces := io.Pipe()
	defer pieces.Close()
	r, _ := http.NewRequest("POST", p.url+"/echo", body)
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for i := range 20 {
		piece := fmt.Sprintf("piece %02d;", i)
		io.WriteString(pieces, piece)
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
			return fmt.Errorf("got %q, %w; want %q", got, err, piece)
		}
	}
	pieces.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || resp.Trailer.Get("X-Sum") != "180 <nil>" {
		return fmt.Errorf("at the end %q, %v, %w", rest, resp.Trailer, err)
	}
	return nil
}
