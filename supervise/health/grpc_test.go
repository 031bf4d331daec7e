package health

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
)

// grpcServer is a server of grpc-go. health may be nil for one that does not know the
// service.
func grpcServer(t *testing.T, health grpc_health_v1.HealthServer, o ...grpc.ServerOption) location {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(o...)
	if health != nil {
		grpc_health_v1.RegisterHealthServer(s, health)
	}
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return location{"tcp", l.Addr().String()}
}

// checkGRPC probes at by a call of gRPC.
func checkGRPC(t *testing.T, at location, service string) result {
	t.Helper()
	h := config.NewHealth()
	h.Type, h.Service, h.Timeout = config.CheckGRPC, service, testkit.Patience
	return probe(t.Context(), &h, "x", config.ProtocolH2C, at, nil)
}

// TestProbeGRPC asks grpc-go's own health service.
func TestProbeGRPC(t *testing.T) {
	s := grpchealth.NewServer()
	s.SetServingStatus("shop.v1.Cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	s.SetServingStatus("shop.v1.Odd", grpc_health_v1.HealthCheckResponse_UNKNOWN)
	s.SetServingStatus("shop.v1.New", 77)
	long := strings.Repeat("x", 300)
	s.SetServingStatus(long, grpc_health_v1.HealthCheckResponse_SERVING)
	at := grpcServer(t, s)
	for _, tc := range []struct {
		at      location
		service string
		want    result
	}{
		{at, "", result{good: true, why: board.ReasonOK, cause: "grpc SERVING"}},
		{at, long, result{good: true, why: board.ReasonOK, cause: "grpc SERVING"}},
		{at, "shop.v1.Cart", result{why: board.ReasonGRPC, detail: 1002, cause: "grpc NOT_SERVING, want SERVING"}},
		{at, "shop.v1.Odd", result{why: board.ReasonGRPC, detail: 1000, cause: "grpc UNKNOWN, want SERVING"}},
		{at, "shop.v1.New", result{why: board.ReasonGRPC, detail: 1077, cause: "grpc 77, want SERVING"}},
		{at, "shop.v1.Gone", result{why: board.ReasonGRPC, detail: 5, cause: "grpc NOT_FOUND: unknown service"}},
		{grpcServer(t, nil), "", result{why: board.ReasonGRPC, detail: 12, cause: "grpc UNIMPLEMENTED: unknown service grpc.health.v1.Health"}},
		{refusing(t), "", result{why: board.ReasonConnect, cause: "connect: connection refused"}},
	} {
		if r := checkGRPC(t, tc.at, tc.service); r != tc.want {
			t.Errorf("%.20q: %+v, want %+v", tc.service, r, tc.want)
		}
	}
}

// stuck never answers, and says when a call has ended.
type stuck struct {
	grpc_health_v1.UnimplementedHealthServer
	ended chan struct{}
}

func (s *stuck) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	<-ctx.Done()
	s.ended <- struct{}{}
	return nil, ctx.Err()
}

// TestGRPCTimeout: a call that is not answered in time ends at the backend, too.
func TestGRPCTimeout(t *testing.T) {
	s := &stuck{ended: make(chan struct{}, 10)}
	at := grpcServer(t, s)
	h := config.NewHealth()
	h.Type = config.CheckGRPC
	// On a busy machine, the call may not have begun in so short a time.
	for h.Timeout = 50 * time.Millisecond; ; h.Timeout *= 2 {
		r := probe(t.Context(), &h, "x", config.ProtocolH2C, at, nil)
		if r.good || r.why != board.ReasonTimeout {
			t.Fatalf("%+v", r)
		}
		select {
		case <-s.ended:
			return
		case <-time.After(h.Timeout):
		}
		if h.Timeout > testkit.Patience {
			t.Fatal("the call goes on")
		}
	}
}

// TestProbeGRPCOverTLS: the same over TLS, with "h2" and "auto".
func TestProbeGRPCOverTLS(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	pair := ca.Issue(t, testkit.Leaf{Names: []string{"backend.test"}})
	at := grpcServer(t, grpchealth.NewServer(), grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}})))
	for _, protocol := range []string{config.ProtocolH2, config.ProtocolAuto} {
		cfg := &config.Config{Pools: []config.Pool{{TLS: config.BackendTLS{CA: "ca.pem"}, Protocol: protocol,
			Backends: []config.Backend{{Host: "backend.test", Port: 443, TLS: true}}}}}
		set, err := tlsconf.ForProbes(cfg, &tlsconf.Secrets{Pools: []*tlsconf.PoolSecrets{{CA: ca.Cert}}})
		if err != nil {
			t.Fatal(err)
		}
		h := config.NewHealth()
		h.Type, h.Timeout = config.CheckGRPC, testkit.Patience
		if r := probe(t.Context(), &h, "backend.test", protocol, at, tlsconf.ForBackend(set.Pools[0], cfg.Pools[0].Backends[0])); !r.good {
			t.Errorf("%s: %+v", protocol, r)
		}
	}
}

// TestNoGRPC: what answers the call and does not speak gRPC is down, whatever its status.
func TestNoGRPC(t *testing.T) {
	const good = "\x00\x00\x00\x00\x02\x08\x01"
	for _, tc := range []struct {
		what   string
		answer http.HandlerFunc
		why    board.Reason
		cause  string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }, board.ReasonBadAnswer, `response: no gRPC: its content-type is "text/plain; charset=utf-8"`},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, board.ReasonStatus, "status 404, want 200"},
		{"no status", answerGRPC(good, ""), board.ReasonBadAnswer, "response: no gRPC: it has no grpc-status"},
		{"a status that is no number", answerGRPC(good, "ok"), board.ReasonBadAnswer, "response: no gRPC: it has no grpc-status"},
		{"no message", answerGRPC("", "0"), board.ReasonBadAnswer, "response: 0 bytes that are not one message of gRPC"},
		{"half a message", answerGRPC(good[:6], "0"), board.ReasonBadAnswer, "response: 6 bytes that are not one message of gRPC"},
		{"two messages", answerGRPC(good+good, "0"), board.ReasonBadAnswer, "response: 14 bytes that are not one message of gRPC"},
		{"much", answerGRPC(strings.Repeat("x", 1<<16), "0"), board.ReasonBadAnswer, "response: no gRPC: an answer of more than 4096 bytes"},
		{"compressed", answerGRPC("\x01"+good[1:], "0"), board.ReasonBadAnswer, "response: a compressed message, which lb has not asked for"},
		{"no protobuf", answerGRPC("\x00\x00\x00\x00\x02\x0f\xff", "0"), board.ReasonBadAnswer, "response: a message that is no HealthCheckResponse"},
		{"an empty message", answerGRPC("\x00\x00\x00\x00\x00", "0"), board.ReasonGRPC, "grpc UNKNOWN, want SERVING"},
		{"another status", answerGRPC("", "14"), board.ReasonGRPC, "grpc UNAVAILABLE: so it is"},
		{"a status that is not known", answerGRPC("", "99"), board.ReasonGRPC, "grpc 99: so it is"},
	} {
		r := checkGRPC(t, h2cServer(t, tc.answer), "")
		if r.good || r.why != tc.why || r.cause != tc.cause {
			t.Errorf("%s: %+v, want %v, %q", tc.what, r, tc.why, tc.cause)
		}
	}
	if r := checkGRPC(t, h2cServer(t, answerGRPC(good, "0")), ""); !r.good {
		t.Errorf("a good answer by hand: %+v", r)
	}
}

// answerGRPC answers with body, and trailers with this status unless it is "".
func answerGRPC(body, status string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc+proto")
		w.Write([]byte(body))
		if status != "" {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", "so%20it is")
		}
	}
}

// TestServingStatus: fields that lb does not know are passed over, the last status counts.
func TestServingStatus(t *testing.T) {
	for _, tc := range []struct {
		message string
		want    int // -1: an error
	}{
		{"", 0}, {"\x08\x01", 1}, {"\x08\x02\x08\x01", 1}, {"\x08\x81\x00", 1},
		{"\x10\x05\x08\x01", 1}, {"\x12\x03abc\x08\x01", 1}, {"\x11abcdefgh\x08\x01", 1}, {"\x15abcd\x08\x01", 1},
		{"\x08", -1}, {"\x12\x03ab", -1}, {"\x12", -1}, {"\x11abc", -1}, {"\x15abc", -1}, {"\x0b", -1}, {"\xff", -1},
	} {
		body := append([]byte{0, 0, 0, 0, byte(len(tc.message))}, tc.message...)
		got, err := servingStatus(body)
		if (err != nil) != (tc.want < 0) || err == nil && got != uint64(tc.want) {
			t.Errorf("%q: %d, %v; want %d", tc.message, got, err, tc.want)
		}
	}
}

// FuzzServingStatus: no answer of a backend makes the supervisor panic.
func FuzzServingStatus(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x09\x12\x03abc\x15abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if status, err := servingStatus(b); err != nil && status != 0 {
			t.Errorf("%d and %v", status, err)
		}
	})
}

// TestGRPCWords: a detail on the board becomes the name that gRPC has for it.
func TestGRPCWords(t *testing.T) {
	for n, want := range map[uint64]string{1: "CANCELLED", 12: "UNIMPLEMENTED", 16: "UNAUTHENTICATED", 17: "17", 1001: "SERVING", 1003: "SERVICE_UNKNOWN", 1004: "4"} {
		if got := GRPCWords(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
