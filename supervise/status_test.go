package supervise

import (
	"testing"

	"lb/board"
	"lb/internal/tlsfault"
)

// TestReasonText: what `lb status` says of a backend that a check finds down.
func TestReasonText(t *testing.T) {
	for _, tc := range []struct {
		why    board.Reason
		detail uint64
		want   string
	}{
		{board.ReasonNone, 0, ""},
		{board.ReasonOK, 204, "status 204"},
		{board.ReasonStatus, 503, "status 503"},
		{board.ReasonTimeout, 0, "no answer in time"},
		{board.ReasonConnect, 0, "cannot be reached"},
		{board.ReasonTLSName, 0, "its certificate is for another name"},
		{board.ReasonTLS, uint64(tlsfault.NoProtocol), tlsfault.NoProtocol.String()},
		{board.ReasonOK, 0, "ok"}, // SERVING
		{board.ReasonGRPC, 1002, "grpc NOT_SERVING"},
		{board.ReasonGRPC, 12, "grpc UNIMPLEMENTED"},
	} {
		var why, detail board.Word
		why.Store(uint64(tc.why))
		detail.Store(tc.detail)
		if got := reasonText(&why, &detail); got != tc.want {
			t.Errorf("%v %d: %q, want %q", tc.why, tc.detail, got, tc.want)
		}
	}
}
