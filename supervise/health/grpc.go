package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lb/board"
	"lb/config"
)

// This file has one unary call of gRPC (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
// that of grpc.health.v1. It is short enough to do without a library.

const (
	grpcPath    = "/grpc.health.v1.Health/Check"
	grpcType    = "application/grpc"
	grpcHead    = 5       // bytes before a message: whether it is compressed, and its length
	grpcBodyMax = 4 << 10 // bytes of an answer, which has five and two
)

// serving are the names of grpc.health.v1.HealthCheckResponse.ServingStatus.
var serving = [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

const isServing = 1

// codes are the names of the status codes of gRPC.
var codes = [...]string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
	"UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

// ofServing is added to a status of serving in the detail of board.ReasonGRPC, to tell it
// from a status code of gRPC.
const ofServing = 1000

// GRPCWords returns what a detail of board.ReasonGRPC means: "NOT_SERVING".
func GRPCWords(detail uint64) string {
	if detail >= ofServing {
		return nameOr(serving[:], detail-ofServing)
	}
	return nameOr(codes[:], detail)
}

func nameOr(names []string, n uint64) string {
	if n < uint64(len(names)) {
		return names[n]
	}
	return strconv.FormatUint(n, 10)
}

// askGRPC makes req the call that asks for h.Service.
func askGRPC(req *http.Request, h *config.Health) {
	var message []byte // HealthCheckRequest: field 1, a string
	if h.Service != "" {
		message = binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(h.Service)))
		message = append(message, h.Service...)
	}
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	body = append(body, message...)
	req.Method, req.ContentLength = http.MethodPost, int64(len(body))
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.Header.Set("Content-Type", grpcType)
	req.Header.Set("Te", "trailers")
}

// readGRPC checks the answer to the call.
func readGRPC(ctx context.Context, resp *http.Response, h *config.Health) result {
	if resp.StatusCode != http.StatusOK {
		return result{why: board.ReasonStatus, detail: uint64(resp.StatusCode), cause: fmt.Sprintf("status %d, want 200", resp.StatusCode)}
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, grpcType) {
		return failed("response", fmt.Errorf("no gRPC: its content-type is %q", kind), board.ReasonBadAnswer, h.Timeout)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, grpcBodyMax+1))
	if err == nil && len(body) > grpcBodyMax {
		err = fmt.Errorf("no gRPC: an answer of more than %d bytes", grpcBodyMax)
	}
	if err != nil {
		return failedHTTP2(ctx, err, h.Timeout)
	}
	fields := resp.Trailer
	if resp.Header.Get("Grpc-Status") != "" { // an answer of trailers alone
		fields = resp.Header
	}
	code, err := strconv.ParseUint(fields.Get("Grpc-Status"), 10, 8)
	if err != nil {
		return failed("response", errors.New("no gRPC: it has no grpc-status"), board.ReasonBadAnswer, h.Timeout)
	}
	if code != 0 {
		text := "grpc " + GRPCWords(code)
		if said, err := url.PathUnescape(fields.Get("Grpc-Message")); err == nil && said != "" {
			text += ": " + said
		}
		return result{why: board.ReasonGRPC, detail: code, cause: text[:min(len(text), causeMax)]}
	}
	status, err := servingStatus(body)
	if err != nil {
		return failed("response", err, board.ReasonBadAnswer, h.Timeout)
	}
	if status != isServing {
		return result{why: board.ReasonGRPC, detail: ofServing + status, cause: "grpc " + GRPCWords(ofServing+status) + ", want SERVING"}
	}
	return result{good: true, why: board.ReasonOK, cause: "grpc SERVING"}
}

// servingStatus returns the status in body, which is one message: a HealthCheckResponse.
func servingStatus(body []byte) (status uint64, err error) {
	if len(body) < grpcHead || uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-grpcHead) {
		return 0, fmt.Errorf("%d bytes that are not one message of gRPC", len(body))
	}
	if body[0] != 0 {
		return 0, errors.New("a compressed message, which lb has not asked for")
	}
	for b := body[grpcHead:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errBadMessage
		}
		value, rest, ok := protobufValue(tag, b[n:])
		if !ok {
			return 0, errBadMessage
		}
		if b = rest; tag == 1<<3 { // field 1, a number; the last one counts
			status = value
		}
	}
	return status, nil
}

var errBadMessage = errors.New("a message that is no HealthCheckResponse")

// protobufValue takes the value of a field with this tag off b. The value is 0 unless it
// is a varint. It returns false if b does not begin with such a value.
func protobufValue(tag uint64, b []byte) (value uint64, rest []byte, ok bool) {
	skip := uint64(0)
	switch tag & 7 {
	case 0:
		v, n := binary.Uvarint(b)
		return v, b[max(n, 0):], n > 0
	case 1:
		skip = 8
	case 2:
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, nil, false
		}
		skip, b = v, b[n:]
	case 5:
		skip = 4
	default:
		return 0, nil, false
	}
	if skip > uint64(len(b)) {
		return 0, nil, false
	}
	return 0, b[skip:], true
}
