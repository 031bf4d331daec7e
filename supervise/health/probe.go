package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"lb/board"
	"lb/config"
)

const (
	userAgent = "lb-health"
	headMax   = 64 << 10 // bytes of an answer's head
	bodyMax   = 64 << 10 // bytes of its body that are read
	causeMax  = 200      // bytes of a cause in the log
)

// result is what one probe found.
type result struct {
	good   bool
	ours   bool // this machine lacks something, which says nothing about the backend
	why    board.Reason
	detail uint64 // a status code, or 0
	cause  string // the same in words
}

// probe checks a backend once. Every probe has a connection of its own, because a
// backend that no longer accepts is not well, whatever an old connection says.
func probe(ctx context.Context, h *config.Health, host string, addrs []Addr) result {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	if len(addrs) == 0 {
		return result{why: board.ReasonResolve, cause: "its name has no address"}
	}
	conn, err := dial(ctx, addrs)
	if err != nil {
		return failed("connect", err, board.ReasonConnect, h.Timeout)
	}
	defer conn.Close()
	if h.Type == config.CheckTCP {
		return result{good: true, why: board.ReasonOK, cause: "connected"}
	}
	return exchange(ctx, conn, h, host)
}

// dial connects to the first address that answers. Each may take an even share of the
// time that is left, so that one that does not answer leaves time for the others.
func dial(ctx context.Context, addrs []Addr) (conn net.Conn, err error) {
	deadline, _ := ctx.Deadline()
	for i, a := range addrs {
		d := net.Dialer{Timeout: time.Until(deadline) / time.Duration(len(addrs)-i), KeepAlive: -1}
		if conn, err = knock(ctx, &d, a); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// knockEvery is how soon a unix socket is tried again whose accept queue is full.
const knockEvery = 20 * time.Millisecond

// knock connects to a. A unix socket whose accept queue is full says so at once (EAGAIN),
// where TCP would wait for room, so knock waits.
func knock(ctx context.Context, d *net.Dialer, a Addr) (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	for {
		conn, err = d.DialContext(ctx, a.Network, a.Address)
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(knockEvery):
		}
	}
}

// exchange sends the request and checks the answer. It follows no redirect.
func exchange(ctx context.Context, conn net.Conn, h *config.Health, host string) result {
	t := http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: headMax,
	}
	req, err := http.NewRequestWithContext(ctx, h.Method, "http://backend"+h.Path, nil)
	if err != nil {
		return failed("request", err, board.ReasonBadAnswer, h.Timeout)
	}
	req.Host = host
	req.Header.Set("User-Agent", userAgent)
	resp, err := t.RoundTrip(req)
	if err != nil {
		return failed("response", err, board.ReasonBadAnswer, h.Timeout)
	}
	defer resp.Body.Close()
	if !expected(h.Expect, resp.StatusCode) {
		return result{why: board.ReasonStatus, detail: uint64(resp.StatusCode),
			cause: fmt.Sprintf("status %d, want %s", resp.StatusCode, ranges(h.Expect))}
	}
	if _, err := io.CopyN(io.Discard, resp.Body, bodyMax); err != nil && err != io.EOF {
		return failed("body", err, board.ReasonReset, h.Timeout)
	}
	return result{good: true, why: board.ReasonOK, detail: uint64(resp.StatusCode),
		cause: fmt.Sprintf("status %d", resp.StatusCode)}
}

func expected(list []config.Statuses, code int) bool {
	for _, s := range list {
		if code >= s.Low && code <= s.High {
			return true
		}
	}
	return false
}

// ranges returns list as it is written in the configuration.
func ranges(list []config.Statuses) string {
	parts := make([]string, len(list))
	for i, s := range list {
		if parts[i] = fmt.Sprint(s.Low); s.High > s.Low {
			parts[i] += fmt.Sprintf("-%d", s.High)
		}
	}
	return strings.Join(parts, ", ")
}

// failed returns the result for err, which ended a probe in phase. why is the reason if
// err is neither a timeout nor a broken connection.
func failed(phase string, err error, why board.Reason, timeout time.Duration) result {
	r := result{why: why, ours: oneOf(err, ourErrors)}
	text := strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ")
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		r.why, text = board.ReasonTimeout, fmt.Sprintf("timeout after %v", timeout)
	case errors.As(err, &errno):
		if text = errno.Error(); phase != "connect" {
			r.why = board.ReasonReset
		}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.why, text = board.ReasonReset, "connection closed"
	}
	r.cause = phase + ": " + text[:min(len(text), causeMax)]
	return r
}

// ourErrors are the errors of a machine that has no descriptor, port or memory left.
var ourErrors = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
}

func oneOf(err error, list []error) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
