package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// echo sends the request's body back as it comes.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
	}
	http.NewResponseController(w).EnableFullDuplex()
	io.Copy(w, r.Body)
}

// One conn on each side carries many requests, with and without a body.
func TestConnsAreReused(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		var conns atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		p := start(t, mode, setup{backends: to(s.Listener.Addr().String())})
		client := dial(t, p.addr) // a client of net/http dials again when it is slow itself
		for i := range 200 {
			body := strings.Repeat("x", i%3*1000)
			client.send(t, lines("POST / HTTP/1.1", "Host: x", fmt.Sprintf("Content-Length: %d", len(body)))+body)
			if resp, got := client.answer(t); resp.StatusCode != 200 || resp.Close || got != body {
				t.Fatalf("request %d: %s, %d bytes, close %v; want 200, %d and a conn that stays", i, resp.Status, len(got), resp.Close, len(body))
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("lb dialled %d conns for 200 requests, want 1", n)
		}
	})
}

// Every client gets its own bytes back, in either framing, while others do the same.
func TestConcurrentClients(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(serve(t, echo), serve(t, echo))})
		const clients, requests = 32, 30
		var all sync.WaitGroup
		for id := range clients {
			client := newClient(t)
			all.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(id)))
				for i := range requests {
					body := bytes.Repeat([]byte(fmt.Sprintf("%d of %d;", i, id)), random.IntN(6000))
					if err := echoed(client, p.url("/"), body, random.IntN(2) == 0); err != nil {
						t.Errorf("client %d, request %d: %v", id, i, err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// echoed posts body and compares what comes back.
func echoed(client *http.Client, url string, body []byte, chunked bool) error {
	var r io.Reader = bytes.NewReader(body)
	if chunked {
		r = onlyReader{r}
	}
	resp, err := client.Post(url, "application/octet-stream", r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, body) {
		return fmt.Errorf("sent %d bytes (in chunks: %v), got %d back, %w", len(body), chunked, len(got), err)
	}
	return nil
}

func TestTrailers(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum, X-Seen")
			n, _ := io.Copy(w, r.Body)
			w.Header().Set("X-Sum", fmt.Sprint(n))
			w.Header().Set("X-Seen", r.Trailer.Get("X-Request-Sum"))
		}))})
		req, err := http.NewRequest("POST", p.url("/"), onlyReader{strings.NewReader("abcdef")})
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"X-Request-Sum": {"six"}}
		resp, err := newClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != "abcdef" {
			t.Errorf("got %q, %v", body, err)
		}
		if sum, seen := resp.Trailer.Get("X-Sum"), resp.Trailer.Get("X-Seen"); sum != "6" || seen != "six" {
			t.Errorf("trailers X-Sum %q and X-Seen %q, want 6 and six", sum, seen)
		}
	})
}

// A 103 is passed on before the final answer exists.
func TestEarlyHints(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		hinted := make(chan struct{})
		p := start(t, mode, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			select {
			case <-hinted:
			case <-r.Context().Done():
			}
			io.WriteString(w, "page")
		}))})
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code != 103 || h.Get("Link") != "</style.css>; rel=preload" {
					t.Errorf("got %d with Link %q", code, h.Get("Link"))
				}
				close(hinted)
				return nil
			},
		})
		req, err := http.NewRequestWithContext(ctx, "GET", p.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := newClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "page" || resp.StatusCode != 200 {
			t.Errorf("%s %q, %v", resp.Status, body, err)
		}
	})
}

// What one side sends reaches the other at once: each piece is sent only after the
// piece before it has arrived, in both directions of one exchange.
func TestStreaming(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			rc.EnableFullDuplex()
			rc.Flush()
			piece := make([]byte, 64)
			for {
				n, err := r.Body.Read(piece)
				if n > 0 {
					w.Write(bytes.ToUpper(piece[:n]))
					rc.Flush()
				}
				if err != nil {
					return
				}
			}
		}))})
		body, pieces := io.Pipe()
		defer pieces.Close()
		resp, err := newClient(t).Post(p.url("/"), "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 20 {
			piece := fmt.Sprintf("piece %02d;", i)
			io.WriteString(pieces, piece)
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != strings.ToUpper(piece) {
				t.Fatalf("got %q, %v; want %q", got, err, strings.ToUpper(piece))
			}
		}
		pieces.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("at the end %q, %v", rest, err)
		}
	})
}

// An answer that a backend breaks off looks broken to the client, in either framing.
func TestShortAnswerLooksShort(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/length" {
				w.Header().Set("Content-Length", "100000")
			}
			w.Write(make([]byte, 50000))
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}))})
		for _, path := range []string{"/length", "/chunked"} {
			resp, body, err := tryGet(newClient(t), p.url(path))
			if resp == nil || resp.StatusCode != 200 || err == nil {
				t.Errorf("%s: %d bytes, %v; want a 200 and an error in its body", path, len(body), err)
			}
		}
	})
}
