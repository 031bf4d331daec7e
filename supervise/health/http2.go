package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
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
	var heard *overheard
	if req.URL.Scheme == "http" { // else net/http looks for a tls.Conn
		heard = &overheard{Conn: conn}
		conn = heard
	}
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	t := &http.Transport{DialContext: given, DialTLSContext: given, Protocols: new(http.Protocols),
		DisableCompression: true, MaxResponseHeaderBytes: headMax}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	client, err := t.NewClientConn(ctx, req.URL.Scheme, "backend:0") // where given leads in any case
	if err != nil {
		return nil, err
	}
	resp, err := client.RoundTrip(req)
	return resp, heard.explain(err)
}

// overheard is a conn that notes how the backend began, and how it ended. If that comes before
// the request is sent, net/http's error does not say it.
type overheard struct {
	net.Conn
	mu           sync.Mutex // guards what follows
	begun, http1 bool
	end          error
}

func (c *overheard) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 && !c.begun {
		c.begun, c.http1 = true, bytes.HasPrefix(b[:n], []byte("HTTP/1"))
	}
	if err != nil && c.end == nil && !errors.Is(err, net.ErrClosed) {
		c.end = err
	}
	return n, err
}

// explain returns the cause of err, which net/http has returned. c or err may be nil.
func (c *overheard) explain(err error) error {
	if c == nil || err == nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.http1:
		return errHTTP1
	case c.end != nil && strings.Contains(err.Error(), "could not be established"):
		return c.end
	}
	return err
}

var errHTTP1 = errors.New("HTTP/1, and the pool has HTTP/2")

// failedHTTP2 returns the result for err, which ended an exchange by HTTP/2.
func failedHTTP2(ctx context.Context, err error, timeout time.Duration) result {
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	if tlsfault.OfAlert(err) != tlsfault.None {
		return failedTLS(err, timeout)
	}
	if strings.Contains(err.Error(), "looked like an HTTP/1.1 header") {
		err = errHTTP1
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
