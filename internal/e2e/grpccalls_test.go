package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	rpcstatus "google.golang.org/grpc/status"

	"lb/internal/testkit"
)

// payload returns a message of n random bytes.
func payload(n int) *testpb.Payload {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return &testpb.Payload{Body: b}
}

// echoCalls answers each message of a stream with its payload.
func echoCalls(s testpb.TestService_FullDuplexCallServer) error {
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.Send(&testpb.StreamingOutputCallResponse{Payload: in.Payload})
		}
		if err != nil {
			return err
		}
	}
}

// openCall begins a stream.
func openCall(t *testing.T, ctx context.Context, c *grpc.ClientConn, options ...grpc.CallOption) testpb.TestService_FullDuplexCallClient {
	t.Helper()
	s, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pingCall has p echoed in s.
func pingCall(t *testing.T, s testpb.TestService_FullDuplexCallClient, p *testpb.Payload) {
	t.Helper()
	if err := s.Send(&testpb.StreamingOutputCallRequest{Payload: p}); err != nil {
		t.Fatal(err)
	}
	out, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.GetPayload().GetBody(), p.GetBody()) {
		t.Fatalf("%d bytes came back as %d others", len(p.GetBody()), len(out.GetPayload().GetBody()))
	}
}

// wantEnd checks that s ends with code, and with a message that has text in it.
func wantEnd(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if s := rpcstatus.Convert(err); s.Code() != code || !strings.Contains(s.Message(), text) {
		t.Errorf("%v, want %v: %s", err, code, text)
	}
}

// unary makes one small call.
func unary(ctx context.Context, c *grpc.ClientConn) (*testpb.SimpleResponse, error) {
	return testpb.NewTestServiceClient(c).UnaryCall(ctx, &testpb.SimpleRequest{})
}

// TestCallsAreSpread: the calls of one conn go to all backends, each of them by itself.
func TestCallsAreSpread(t *testing.T) {
	const total = 100
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		var begun atomic.Int32
		all := make(chan struct{})
		hold := func(ctx context.Context) error {
			if begun.Add(1) == total {
				close(all)
			}
			select {
			case <-all:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var backends []*callBackend
		for range 3 {
			backends = append(backends, serveCalls(t, secure, &callBackend{unary: hold}))
		}
		p := start(t, mode, callVia(t, secure, backends...))
		c, ctx := dialCalls(t, p.addr), calls(t)
		ends := make(chan error, total)
		for range total {
			go func() {
				_, err := unary(ctx, c)
				ends <- err
			}()
		}
		for range total {
			if err := testkit.Wait(t, ends, "a call"); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range backends {
			if n := b.calls.Load(); n < 20 || n > 47 {
				t.Errorf("%d of %d calls at one of three backends", n, total)
			}
		}
	})
}

// TestLargeMessages: messages of 4 MiB pass both ways, whole, in one stream beside another.
func TestLargeMessages(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		p := start(t, mode, callVia(t, secure, serveCalls(t, secure, &callBackend{stream: echoCalls})))
		c, ctx := dialCalls(t, p.addr), calls(t)
		large, small := openCall(t, ctx, c), openCall(t, ctx, c, grpc.UseCompressor(gzip.Name))
		for range 2 {
			pingCall(t, large, payload(4<<20))
			pingCall(t, small, payload(10))
		}
		for _, s := range []testpb.TestService_FullDuplexCallClient{large, small} {
			s.CloseSend()
			if _, err := s.Recv(); err != io.EOF {
				t.Error(err)
			}
		}
	})
}

// TestCallMetadata: fields of any bytes pass in the request, before the answer and after it.
func TestCallMetadata(t *testing.T) {
	var every [256]byte
	for i := range every {
		every[i] = byte(i)
	}
	values := []string{string(every[:]), "", "a,b", "\xff", "no secret"}
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		p := start(t, mode, callVia(t, secure, serveCalls(t, secure, &callBackend{stream: func(s testpb.TestService_FullDuplexCallServer) error {
			in, _ := metadata.FromIncomingContext(s.Context())
			s.SetTrailer(metadata.MD{"t-bin": in["q-bin"], "t": in["q"]})
			return s.SendHeader(metadata.MD{"h-bin": in["q-bin"], "h": in["q"]})
		}})))
		ctx := metadata.NewOutgoingContext(calls(t), metadata.MD{"q-bin": values, "q": {"1", "2", "~ !"}})
		s := openCall(t, ctx, dialCalls(t, p.addr))
		if _, err := s.Recv(); err != io.EOF {
			t.Fatal(err)
		}
		head, err := s.Header()
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string][]string{"h-bin": head["h-bin"], "t-bin": s.Trailer()["t-bin"]} {
			if !slices.Equal(got, values) {
				t.Errorf("%s: %q", name, got)
			}
		}
		if got := slices.Concat(head["h"], s.Trailer()["t"]); !slices.Equal(got, []string{"1", "2", "~ !", "1", "2", "~ !"}) {
			t.Errorf("%q", got)
		}
	})
}

// TestSlowCalls: a stream that its backend does not read, and one that its client does not
// read, hold up nothing else on the conn; afterwards both go on where they were.
func TestSlowCalls(t *testing.T) {
	const messages, size = 100, 64 << 10 // more than all buffers on the way
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		read := make(chan struct{})
		p := start(t, mode, callVia(t, secure, serveCalls(t, secure, &callBackend{stream: func(s testpb.TestService_FullDuplexCallServer) error {
			in, err := s.Recv()
			if err != nil {
				return err
			}
			if bytes.HasPrefix(in.Payload.Body, []byte("pour")) {
				for range messages {
					if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: payload(size)}); err != nil {
						return err
					}
				}
				return nil
			}
			testkitWait(read)
			n := 1
			for ; err == nil; n++ {
				_, err = s.Recv()
			}
			return rpcstatus.Errorf(codes.Aborted, "%d messages", n-1)
		}})))
		c, ctx := dialCalls(t, p.addr), calls(t)
		unread, poured := openCall(t, ctx, c), openCall(t, ctx, c)
		poured.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte("pour")}})
		sent := make(chan error, 1)
		go func() {
			var err error
			for range messages {
				err = errors.Join(err, unread.Send(&testpb.StreamingOutputCallRequest{Payload: payload(size)}))
			}
			sent <- errors.Join(err, unread.CloseSend())
		}()
		for range 20 {
			if _, err := unary(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case err := <-sent:
			t.Fatalf("%d MiB fit into buffers: %v", messages*size>>20, err)
		default:
		}
		close(read)
		if err := testkit.Wait(t, sent, "the messages to be sent"); err != nil {
			t.Error(err)
		}
		_, err := unread.Recv()
		wantEnd(t, err, codes.Aborted, "100 messages")
		for i := range messages {
			if out, err := poured.Recv(); err != nil || len(out.Payload.Body) != size {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		if _, err := poured.Recv(); err != io.EOF {
			t.Error(err)
		}
	})
}

// testkitWait is testkit.Wait for a handler.
func testkitWait(c <-chan struct{}) { testkit.Happens(func() bool { return testkit.IsClosed(c) }) }

// TestEarlyStatus: a backend may end a call whose client still sends.
func TestEarlyStatus(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		p := start(t, mode, callVia(t, secure, serveCalls(t, secure, &callBackend{stream: func(s testpb.TestService_FullDuplexCallServer) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			return rpcstatus.Error(codes.FailedPrecondition, "enough")
		}})))
		c, ctx := dialCalls(t, p.addr), calls(t)
		for range 5 {
			s := openCall(t, ctx, c)
			for s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(10 << 10)}) == nil {
			}
			_, err := s.Recv()
			wantEnd(t, err, codes.FailedPrecondition, "enough")
		}
	})
}

// TestCancelledCall: the backend learns that the client has cancelled, and the conns stay.
func TestCancelledCall(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		ended := make(chan error, 1)
		p := start(t, mode, callVia(t, secure, serveCalls(t, secure, &callBackend{stream: func(s testpb.TestService_FullDuplexCallServer) error {
			if err := echoCalls(s); err != nil {
				<-s.Context().Done()
				ended <- s.Context().Err()
			}
			return nil
		}})))
		c := dialCalls(t, p.addr)
		for range 3 {
			ctx, cancel := context.WithCancel(calls(t))
			s := openCall(t, ctx, c)
			pingCall(t, s, payload(100))
			cancel()
			_, err := s.Recv()
			wantEnd(t, err, codes.Canceled, "")
			if err := testkit.Wait(t, ended, "the backend to learn of it"); err != context.Canceled {
				t.Error(err)
			}
		}
		if _, err := unary(calls(t), c); err != nil {
			t.Error(err)
		}
	})
}
