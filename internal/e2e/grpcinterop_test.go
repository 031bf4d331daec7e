package e2e

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"lb/internal/testkit"
)

// interopCases are those of gRPC's own list that need no credentials of a cloud.
var interopCases = []struct {
	name string
	do   func(context.Context, *grpc.ClientConn, testpb.TestServiceClient)
}{
	{"empty_unary", onClient(interop.DoEmptyUnaryCall)},
	{"large_unary", onClient(interop.DoLargeUnaryCall)},
	{"client_streaming", onClient(interop.DoClientStreaming)},
	{"server_streaming", onClient(interop.DoServerStreaming)},
	{"ping_pong", onClient(interop.DoPingPong)},
	{"empty_stream", onClient(interop.DoEmptyStream)},
	{"timeout_on_sleeping_server", onClient(interop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", onClient(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", onClient(interop.DoCancelAfterFirstResponse)},
	{"status_code_and_message", onClient(interop.DoStatusCodeAndMessage)},
	{"special_status_message", onClient(interop.DoSpecialStatusMessage)},
	{"custom_metadata", onClient(interop.DoCustomMetadata)},
	{"large_unary, compressed", onClient(interop.DoLargeUnaryCall, grpc.UseCompressor(gzip.Name))},
	{"client_streaming, compressed", onClient(interop.DoClientStreaming, grpc.UseCompressor(gzip.Name))},
	{"ping_pong, compressed", onClient(interop.DoPingPong, grpc.UseCompressor(gzip.Name))},
	{"unimplemented_method", func(ctx context.Context, c *grpc.ClientConn, _ testpb.TestServiceClient) {
		interop.DoUnimplementedMethod(ctx, c)
	}},
	{"unimplemented_service", func(ctx context.Context, c *grpc.ClientConn, _ testpb.TestServiceClient) {
		interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(c))
	}},
	{"pick_first_unary", func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) {
		interop.DoPickFirstUnary(ctx, tc)
	}},
	{"orca_per_rpc", func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) {
		interop.DoORCAPerRPCTest(ctx, tc)
	}},
	{oobCase, func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) {
		interop.DoORCAOOBTest(ctx, tc)
	}},
	{"rpc_soak", func(ctx context.Context, c *grpc.ClientConn, _ testpb.TestServiceClient) {
		soak(ctx, func() (*grpc.ClientConn, func()) { return c, func() {} })
	}},
}

// oobCase sleeps for two seconds.
const oobCase = "orca_oob"

func onClient(f func(context.Context, testpb.TestServiceClient, ...grpc.CallOption), options ...grpc.CallOption) func(context.Context, *grpc.ClientConn, testpb.TestServiceClient) {
	return func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) { f(ctx, tc, options...) }
}

// soak makes large calls, one after the other, on the conns that channel returns.
func soak(ctx context.Context, channel func() (*grpc.ClientConn, func())) {
	interop.DoSoakTest(ctx, interop.SoakTestConfig{
		RequestSize: 271828, ResponseSize: 314159, Iterations: 10, NumWorkers: 2,
		PerIterationMaxAcceptableLatency: testkit.Patience, OverallTimeout: testkit.Patience,
		ChannelForTest: channel,
	})
}

// orcaPolicy has the client read the reports of load that two of the cases are about.
const orcaPolicy = `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`

// TestGRPCInterop runs the cases through lb, at once on one conn, as far as they are not about
// the conn itself.
func TestGRPCInterop(t *testing.T) {
	eachCallPath(t, func(t *testing.T, mode string, secure bool) {
		p := start(t, mode, callVia(t, secure, serveCalls(t, secure, &callBackend{})))
		interopThrough(t, p.addr, secure == strings.HasSuffix(mode, secured))
	})
}

// interopThrough runs the cases at addr, oobCase only if oob.
func interopThrough(t *testing.T, addr string, oob bool) {
	option := grpc.WithDefaultServiceConfig(orcaPolicy)
	c := dialCalls(t, addr, option)
	t.Run("cases", func(t *testing.T) {
		for _, ic := range interopCases {
			if ic.name == oobCase && !oob {
				continue
			}
			t.Run(ic.name, func(t *testing.T) {
				t.Parallel()
				defer failed(t)
				ic.do(calls(t), c, testpb.NewTestServiceClient(c))
			})
		}
		t.Run("channel_soak", func(t *testing.T) {
			t.Parallel()
			defer failed(t)
			soak(calls(t), func() (*grpc.ClientConn, func()) {
				c := dialCalls(t, addr, option)
				return c, func() { c.Close() }
			})
		})
	})
}

// failed notes the fault of a case.
func failed(t *testing.T) {
	switch fault := recover().(type) {
	case nil:
	case grpcFault:
		t.Error(fault)
	default:
		panic(fault)
	}
}
