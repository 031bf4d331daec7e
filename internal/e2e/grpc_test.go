package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"

	"lb/internal/testkit"
)

// gRPC through lb, with the library that most of it is written with. Its test service has a
// call of each kind, and its interop cases are functions.

func init() { grpclog.SetLoggerV2(grpcLog{}) }

// grpcFault is what a case of interop panics with when it fails.
type grpcFault string

// grpcLog keeps gRPC's log from the output of the tests. Fatal does not end the process, in
// which other tests run.
type grpcLog struct{}

func (grpcLog) Info(...any)             {}
func (grpcLog) Infoln(...any)           {}
func (grpcLog) Infof(string, ...any)    {}
func (grpcLog) Warning(...any)          {}
func (grpcLog) Warningln(...any)        {}
func (grpcLog) Warningf(string, ...any) {}
func (grpcLog) Error(...any)            {}
func (grpcLog) Errorln(...any)          {}
func (grpcLog) Errorf(string, ...any)   {}
func (grpcLog) V(int) bool              { return false }
func (grpcLog) Fatal(a ...any)          { panic(grpcFault(fmt.Sprint(a...))) }
func (grpcLog) Fatalln(a ...any)        { panic(grpcFault(fmt.Sprintln(a...))) }
func (grpcLog) Fatalf(f string, a ...any) {
	panic(grpcFault(fmt.Sprintf(f, a...)))
}

// callBackend is a backend with the test service.
type callBackend struct {
	testpb.TestServiceServer
	*grpc.Server
	addr   string
	health *health.Server
	calls  atomic.Int32 // that have begun

	stream func(testpb.TestService_FullDuplexCallServer) error // or nil: that of interop
	unary  func(context.Context) error                         // before the answer; or nil
}

// serveCalls starts b, with TLS if secure. It ends with the test.
func serveCalls(t *testing.T, secure bool, b *callBackend) *callBackend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	options := []grpc.ServerOption{orca.CallMetricsServerOption(nil), grpc.MaxRecvMsgSize(16 << 20)}
	if secure {
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(new(named(t).TLS(t)))))
	}
	b.Server = grpc.NewServer(options...)
	metrics := orca.NewServerMetricsRecorder()
	if err := orca.Register(b.Server, soon(orca.ServiceOptions{MinReportingInterval: 100 * time.Millisecond, ServerMetricsProvider: metrics})); err != nil {
		t.Fatal(err)
	}
	b.health = health.NewServer()
	healthpb.RegisterHealthServer(b.Server, b.health)
	b.TestServiceServer = interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: metrics})
	testpb.RegisterTestServiceServer(b.Server, b)
	done := make(chan struct{})
	go func() {
		b.Server.Serve(l)
		close(done)
	}()
	t.Cleanup(func() {
		b.Server.Stop()
		testkit.Wait(t, done, "the backend to end")
	})
	return b
}

// soon returns o with leave to report more often than every 30 seconds, as the server of
// interop has it: the package of gRPC that gives it is not for others.
func soon(o orca.ServiceOptions) orca.ServiceOptions {
	f := reflect.ValueOf(&o).Elem().FieldByName("allowAnyMinReportingInterval")
	*(*bool)(unsafe.Pointer(f.UnsafeAddr())) = true
	return o
}

// UnaryCall is that of interop, and says which backend it is.
func (b *callBackend) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	b.calls.Add(1)
	if b.unary != nil {
		if err := b.unary(ctx); err != nil {
			return nil, err
		}
	}
	out, err := b.TestServiceServer.UnaryCall(ctx, in)
	if err == nil {
		out.ServerId = b.addr
	}
	return out, err
}

// FullDuplexCall is that of the test, or of interop.
func (b *callBackend) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	b.calls.Add(1)
	if b.stream != nil {
		return b.stream(s)
	}
	return b.TestServiceServer.FullDuplexCall(s)
}

// callVia returns a setup with a pool of these backends, which have TLS if secure.
func callVia(t *testing.T, secure bool, backends ...*callBackend) setup {
	var addrs []string
	for _, b := range backends {
		addrs = append(addrs, b.addr)
	}
	if secure {
		return setup{keys: "protocol = \"h2\"\n", backends: overTLS(addrs...), tables: backendTLS(t, t.TempDir(), "")}
	}
	return setup{keys: "protocol = \"h2c\"\n", backends: to(addrs...)}
}

// dialCalls returns a client with one conn to lb at addr, which it makes with the first call.
func dialCalls(t *testing.T, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	creds := insecure.NewCredentials()
	if cfg, is := secureAddrs.Load(addr); is {
		c := cfg.(*tls.Config).Clone()
		c.NextProtos = nil
		creds = credentials.NewTLS(c)
	}
	options = append(options, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	c, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// eachCallPath runs f in mt and in mp with every pair of sides that are plain or have TLS,
// or, under -short, with two of them. secure is that of the backends.
func eachCallPath(t *testing.T, f func(t *testing.T, mode string, secure bool)) {
	t.Parallel()
	for _, mode := range []string{"mt", "mp" + secured, "mp", "mt" + secured} {
		for _, secure := range []bool{false, true} {
			if (testing.Short() || raceOn) && secure != strings.HasSuffix(mode, secured) {
				continue
			}
			t.Run(fmt.Sprintf("%s to %s", mode, map[bool]string{false: "h2c", true: "h2"}[secure]), func(t *testing.T) {
				t.Parallel()
				f(t, mode, secure)
			})
		}
	}
}

// calls returns a context for the calls of a test.
func calls(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	t.Cleanup(cancel)
	return ctx
}
