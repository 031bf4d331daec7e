package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/tlsfault"
)

// http2 is exchange for a conn that speaks HTTP/2, by TLS if secure says so.
func http2(ctx context.Context, conn net.Conn, h *config.Health, host string, secure bool) result {
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(longAgo) })()
	at, err := url.ParseRequestURI(h.Path) // the path is kept as it is written
	if h.Type == config.CheckGRPC {
		at, err = &url.URL{Path: grpcPath}, nil
	}
	if err != nil {
		return failed("request", err, board.ReasonBadAnswer, h.Timeout)
	}
	if at.Scheme, at.Host = "http", host; secure {
		at.Scheme = "https"
	}
	req := (&http.Request{Method: h.Method, URL: at, Header: http.Header{"User-Agent": {userAgent}}}).WithContext(ctx)
	if h.Type == config.CheckGRPC {
		askGRPC(req, h)
	}
	resp, err := roundTrip(ctx, conn, req)
	if err != nil {
		return failedHTTP2(ctx, err, h.Timeout)
	}
	defer resp.Body.Close()
	if h.Type == config.CheckGRPC {
		return readGRPC(ctx, resp, h)
	}
	r := judge(h, resp.StatusCode)
	if r.good {
		conn.SetReadDeadline(time.Now().Add(bodyTimeout))
		io.CopyN(io.Discard, resp.Body, bodyMax)
	}
	return r
}

// roundTrip sends req by HTTP/2 over conn, and returns the head of the answer. Its body
// can be read as long as conn is open.
func roundTrip(ctx context.Context, conn net.Conn, req *http.Request) (*http.Response, error) {
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	t := &http.Transport{DialContext: given, DialTLSContext: given, Protocols: new(http.Protocols),
		DisableCompression: true, MaxResponseHeaderBytes: headMax}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	client, err := t.NewClientConn(ctx, req.URL.Scheme, "backend:0") // where given leads in any case
	if err != nil {
		return nil, err
	}
	return client.RoundTrip(req)
}

// failedHTTP2 returns the result for err, which ended an exchange by HTTP/2.
func failedHTTP2(ctx context.Context, err error, timeout time.Duration) result {
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	if tlsfault.OfAlert(err) != tlsfault.None {
		return failedTLS(err, timeout)
	}
	if strings.Contains(err.Error(), "looked like an HTTP/1.1 header") {
		err = errors.New("HTTP/1, and the pool has HTTP/2")
	}
	return failed("response", err, board.ReasonBadAnswer, timeout)
}

// agree returns whether HTTP/2 is spoken over TLS by which agreed was chosen in ALPN, and
// the result of a probe that ends there because the backend does not speak as protocol says.
func agree(h *config.Health, protocol, agreed string) (h2 bool, failed *result) {
	h2 = agreed == "h2"
	if h2 || protocol != config.ProtocolH2 && h.Type != config.CheckGRPC {
		return h2, nil
	}
	kind := tlsfault.NoProtocol
	return false, &result{why: kind.Reason(), detail: uint64(kind), cause: fmt.Sprintf("tls: %v: agreed on %q, want \"h2\"", kind, agreed)}
}
