package e2e

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"lb/internal/testkit"
)

// onlyHTTP2 is for clients and servers that speak nothing else.
func onlyHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// serveHTTP2 is a backend of net/http that speaks HTTP/2, with TLS if secure. It returns its
// address.
func serveHTTP2(t *testing.T, secure bool, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols, s.Config.ErrorLog = onlyHTTP2(), log.New(io.Discard, "", 0)
	if secure {
		s.EnableHTTP2 = true
		s.TLS = &tls.Config{Certificates: []tls.Certificate{named(t).TLS(t)}}
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// rawCall makes a call without the library of gRPC, which has deadlines of its own. It
// returns the answer, whose body has been read, and the trailers are there.
func rawCall(t *testing.T, addr string, body io.Reader, timeout string) (resp *http.Response, text string, err error) {
	t.Helper()
	tr := &http.Transport{Protocols: onlyHTTP2(), TLSClientConfig: trusting(t)}
	tr.TLSClientConfig.NextProtos = []string{"h2"}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequestWithContext(calls(t), "POST", scheme(addr)+"://"+addr+"/grpc.testing.TestService/UnaryCall", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/grpc+proto"}, "Te": {"trailers"}}
	if timeout != "" {
		r.Header.Set("Grpc-Timeout", timeout)
	}
	resp, err = tr.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp, string(all), err
}

// wantTrailersOnly checks that resp is such an answer of lb's own.
func wantTrailersOnly(t *testing.T, resp *http.Response, text string, err error, status, message string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	h := resp.Header
	if resp.StatusCode != 200 || h.Get("Content-Type") != "application/grpc" || h.Get("Grpc-Status") != status || h.Get("Grpc-Message") != message {
		t.Errorf("%d, %v; want status %s, %q", resp.StatusCode, h, status, message)
	}
	if text != "" || len(resp.Trailer) > 0 {
		t.Errorf("body %q, trailers %v", text, resp.Trailer)
	}
}

// viaHTTP2 is callVia for backends at addrs.
func viaHTTP2(t *testing.T, secure bool, addrs ...string) setup {
	var backends []*callBackend
	for _, a := range addrs {
		backends = append(backends, &callBackend{addr: a})
	}
	return callVia(t, secure, backends...)
}

// TestCallDeadline: lb ends a call when its time has passed, and tells both sides: the client
// by a status, in a head alone or, after the answer has begun, in trailers.
func TestCallDeadline(t *testing.T) {
	const late = "504 Gateway Timeout: the deadline of the call has passed"
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		var begins atomic.Bool
		var begun, ended atomic.Int32
		p := start(t, mode, viaHTTP2(t, secure, serveHTTP2(t, secure, func(w http.ResponseWriter, r *http.Request) {
			begun.Add(1)
			if begins.Load() {
				w.Header().Set("Content-Type", "application/grpc")
				io.WriteString(w, "\x00\x00\x00\x00\x01x")
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
			ended.Add(1)
		})))
		learns := func() {
			t.Helper()
			testkit.Until(t, "the backend to learn of it", func() bool { return begun.Load() > 0 && ended.Load() == begun.Load() })
		}
		deadlines := []string{"200m", "2S", "20S"} // on a busy machine the first may pass before the backend hears of the call
		for i := 0; i < len(deadlines) && begun.Load() == 0; i++ {
			resp, text, err := rawCall(t, p.addr, nil, deadlines[i])
			wantTrailersOnly(t, resp, text, err, "4", late)
		}
		learns()

		begins.Store(true)
		var resp *http.Response
		var text string
		for i := 0; i < len(deadlines) && text == ""; i++ {
			var err error
			if resp, text, err = rawCall(t, p.addr, nil, deadlines[i]); err != nil {
				t.Fatal(err)
			}
		}
		if tr := resp.Trailer; text != "\x00\x00\x00\x00\x01x" || tr.Get("Grpc-Status") != "4" || tr.Get("Grpc-Message") != late {
			t.Errorf("%q, %v", text, tr)
		}
		learns()
	})
}

// TestSilentCall: the messages of a call may be further apart than the parts of another body,
// and who says how long the answer may take gets it after timeouts.response.
func TestSilentCall(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		s := callVia(t, secure, serveCalls(t, secure, &callBackend{
			stream: func(s testpb.TestService_FullDuplexCallServer) error {
				for range 2 {
					<-time.After(150 * time.Millisecond)
					if err := s.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
						return err
					}
				}
				return echoCalls(s)
			},
			unary: func(ctx context.Context) error {
				if _, has := ctx.Deadline(); !has { // an answer just after the timeout could still pass
					<-ctx.Done()
					return ctx.Err()
				}
				<-time.After(150 * time.Millisecond)
				return nil
			},
		}))
		s.tables += "[timeouts]\nclient_body = \"50ms\"\nbackend_body = \"50ms\"\nresponse = \"50ms\"\n"
		c := dialCalls(t, start(t, mode, s).addr)
		call := openCall(t, context.Background(), c)
		for range 2 {
			if _, err := call.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		pingCall(t, call, payload(10))
		if _, err := unary(calls(t), c); err != nil {
			t.Error(err)
		}
		_, err := unary(context.Background(), c)
		wantEnd(t, err, codes.Unavailable, "504 Gateway Timeout: the backend took too long")
	})
}

// TestBackendOfCallsDies: the client of a stream whose backend dies learns that by a status,
// and the next call goes to another backend.
func TestBackendOfCallsDies(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		backends := []*callBackend{
			serveCalls(t, secure, &callBackend{stream: echoCalls}), serveCalls(t, secure, &callBackend{stream: echoCalls}),
		}
		c := dialCalls(t, start(t, mode, callVia(t, secure, backends...)).addr)
		s := openCall(t, calls(t), c)
		pingCall(t, s, payload(1000))
		dying, other := backends[0], backends[1]
		if other.calls.Load() > 0 {
			dying, other = other, dying
		}
		dying.Server.Stop()
		_, err := s.Recv()
		wantEnd(t, err, codes.Unavailable, "502 Bad Gateway: the backend closed the connection before its answer was whole")
		for range 10 {
			out, err := unary(calls(t), c)
			if err != nil {
				t.Fatal(err)
			}
			if out.ServerId != other.addr {
				t.Errorf("answered by %s", out.ServerId)
			}
		}
	})
}

// TestCallsRunOnce: a call that may have run is not sent again, whatever is retried.
func TestCallsRunOnce(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		var runs atomic.Int32
		aborts := func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			runs.Add(1)
			panic(http.ErrAbortHandler)
		}
		s := viaHTTP2(t, secure, serveHTTP2(t, secure, aborts), serveHTTP2(t, secure, aborts))
		s.tables += "[retry]\non = [\"connect\", \"stale\", \"reset\", \"timeout\", \"502\", \"503\", \"504\"]\n"
		c := dialCalls(t, start(t, mode, s).addr)
		for i := range int32(10) {
			_, err := unary(calls(t), c)
			wantEnd(t, err, codes.Unavailable, "502 Bad Gateway")
			if n := runs.Load(); n != i+1 {
				t.Fatalf("%d runs of %d calls", n, i+1)
			}
		}
	})
}

// TestRefusedCalls: what lb answers itself is a status with lb's text.
func TestRefusedCalls(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		const tables = "[limits]\nbody_bytes = 1000\n[[routes]]\npath = \"/grpc.testing.UnimplementedService\"\npool = \"default\"\n[[routes]]\nhost = \"none.example\"\npool = \"default\"\n"
		s := viaHTTP2(t, secure, testkit.RefusingAddr(t))
		s.tables += tables
		_, err := unary(calls(t), dialCalls(t, start(t, mode, s).addr))
		wantEnd(t, err, codes.Unavailable, "502 Bad Gateway: the backend cannot be reached")
		// At another lb, whose backend waits for the whole message: one that refuses may be first.
		s = callVia(t, secure, serveCalls(t, secure, &callBackend{}))
		s.tables += tables
		c := dialCalls(t, start(t, mode, s).addr)
		_, err = testpb.NewTestServiceClient(c).UnaryCall(calls(t), &testpb.SimpleRequest{Payload: payload(2000)})
		wantEnd(t, err, codes.ResourceExhausted, "413 Content Too Large: the body is larger than limits.body_bytes")
	})
}

// TestRollingBackends: backends that end one after the other, as in a rolling restart, cost no
// call.
func TestRollingBackends(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		backends := []*callBackend{serveCalls(t, secure, &callBackend{}), serveCalls(t, secure, &callBackend{}), serveCalls(t, secure, &callBackend{})}
		addr := start(t, mode, callVia(t, secure, backends...)).addr
		stop := make(chan struct{})
		var made [4]atomic.Int32 // by client
		var clients sync.WaitGroup
		failures := make(chan error, 100)
		for i := range made {
			c := dialCalls(t, addr)
			clients.Go(func() {
				for !testkit.IsClosed(stop) {
					if _, err := unary(context.Background(), c); err != nil {
						failures <- err
						return
					}
					made[i].Add(1)
				}
			})
		}
		more := func(n int32) { // of each client: none of their loops dials while a backend ends, which resets what it has not accepted
			for i := range made {
				from := made[i].Load()
				testkit.Until(t, "more calls", func() bool { return made[i].Load()-from >= n || len(failures) > 0 })
			}
		}
		for _, b := range backends[:2] {
			more(20)
			b.Server.GracefulStop()
		}
		more(20)
		close(stop)
		clients.Wait()
		close(failures)
		for err := range failures {
			t.Error(err)
		}
	})
}

// TestCallsToHTTP1: a call to a backend of HTTP/1 keeps its messages and its trailers.
func TestCallsToHTTP1(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			io.Copy(w, r.Body)
			w.(http.Flusher).Flush()
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
		}))
		t.Cleanup(s.Close)
		p := start(t, mode, setup{backends: to(s.Listener.Addr().String())})
		resp, text, err := rawCall(t, p.addr, strings.NewReader("\x00\x00\x00\x00\x01x"), "")
		if err != nil {
			t.Fatal(err)
		}
		if text != "\x00\x00\x00\x00\x01x" || resp.Trailer.Get("Grpc-Status") != "5" {
			t.Errorf("%q, %v", text, resp.Trailer)
		}
	})
}

// TestLargeCallHead: a head beyond the limits is RESOURCE_EXHAUSTED for a call, too.
func TestLargeCallHead(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(testkit.RefusingAddr(t)), tables: "[limits]\nfields = 20\n"})
		c := dialCalls(t, p.addr)
		md := metadata.MD{"a": slices.Repeat([]string{"1"}, 30)}
		_, err := unary(metadata.NewOutgoingContext(calls(t), md), c)
		wantEnd(t, err, codes.ResourceExhausted, "431 Request Header Fields Too Large")
	})
}
