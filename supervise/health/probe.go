package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/tlsfault"
)

const (
	userAgent = "lb-health"
	headMax   = 64 << 10 // bytes of an answer's head, and of those before it
	bodyMax   = 64 << 10 // bytes of its body that are read, though they say nothing
	causeMax  = 200      // bytes of a cause in the log
)

// alertTimeout is how long an alert is waited for after a handshake in which the backend
// has asked for a certificate.
const alertTimeout = 100 * time.Millisecond

// bodyTimeout is how long a body is read.
const bodyTimeout = 50 * time.Millisecond

// result is what one probe found.
type result struct {
	good   bool
	ours   bool // this machine lacks something, which says nothing about the backend
	why    board.Reason
	detail uint64 // a status code, or 0
	cause  string // the same in words
}

// probe checks a backend once, as protocol says, by TLS unless secure is nil. Every probe has a connection of
// its own, because a backend that no longer accepts is not well, whatever an old
// connection says.
func probe(ctx context.Context, h *config.Health, host, protocol string, at location, secure *tls.Config) result {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	conn, err := knock(ctx, at)
	if err != nil {
		return failed("connect", err, board.ReasonConnect, h.Timeout)
	}
	defer func() { conn.Close() }()
	words, h2 := "connected", protocol == config.ProtocolH2C
	if secure != nil {
		over, asked, err := handshake(ctx, conn, secure)
		if err == nil && asked && h.Type == config.CheckTCP {
			err = refusal(over)
		}
		if err != nil {
			return failedTLS(err, h.Timeout)
		}
		conn, words = over, "connected by TLS"
		var wrong *result
		if h2, wrong = agree(h, protocol, over.ConnectionState().NegotiatedProtocol); wrong != nil {
			return *wrong
		}
	}
	switch {
	case h.Type == config.CheckTCP:
		return result{good: true, why: board.ReasonOK, cause: words}
	case h2:
		return http2(ctx, conn, h, host, secure != nil)
	}
	return exchange(ctx, conn, h, host)
}

// knockEvery is how soon a unix socket is tried again whose accept queue is full.
const knockEvery = 20 * time.Millisecond

// knock connects to a backend. A unix socket whose accept queue is full says so at once (EAGAIN),
// where TCP would wait for room, so knock waits.
func knock(ctx context.Context, at location) (conn net.Conn, err error) {
	d := net.Dialer{KeepAlive: -1}
	for {
		conn, err = d.DialContext(ctx, at.network, at.address)
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

// exchange sends the request and checks the head of the answer. It follows no redirect.
func exchange(ctx context.Context, conn net.Conn, h *config.Health, host string) result {
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(longAgo) })()
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nConnection: close\r\n\r\n",
		h.Method, h.Path, host, userAgent)
	// An answer may be there even if the request can no longer be written.
	_, sendErr := io.WriteString(conn, request)
	status, err := readHead(conn)
	if err != nil {
		if sendErr != nil && ctx.Err() == nil {
			err = sendErr
		}
		if tlsfault.OfAlert(err) != tlsfault.None {
			return failedTLS(err, h.Timeout)
		}
		return failed("response", err, board.ReasonBadAnswer, h.Timeout)
	}
	r := judge(h, status)
	if r.good {
		// A server that is still sending would log that it was cut off.
		conn.SetReadDeadline(time.Now().Add(bodyTimeout))
		io.CopyN(io.Discard, conn, bodyMax)
	}
	return r
}

// judge returns the result of an answer with this status.
func judge(h *config.Health, status int) result {
	if !expected(h.Expect, status) {
		return result{why: board.ReasonStatus, detail: uint64(status),
			cause: fmt.Sprintf("status %d, want %s", status, ranges(h.Expect))}
	}
	return result{good: true, why: board.ReasonOK, detail: uint64(status), cause: fmt.Sprintf("status %d", status)}
}

// longAgo ends what reads and writes.
var longAgo = time.Unix(1, 0)

// readHead reads an answer up to the end of its head, and returns its status. How the body
// ends is of no interest, and neither is a field: the answer goes to no client.
func readHead(from io.Reader) (status int, err error) {
	limited := &io.LimitedReader{R: from, N: headMax}
	r := bufio.NewReader(limited)
	line := func() (string, error) {
		text, err := r.ReadString('\n')
		if err == io.EOF && limited.N == 0 {
			err = fmt.Errorf("the head is longer than %d bytes", headMax)
		}
		return strings.TrimRight(text, "\r\n"), err
	}
	for {
		first, err := line()
		for first == "" && err == nil { // empty lines before an answer
			first, err = line()
		}
		if err != nil {
			return 0, err
		}
		if status = statusOf(first); status == 0 {
			return 0, fmt.Errorf("malformed HTTP response %q", first)
		}
		for field := first; field != ""; {
			if field, err = line(); err != nil {
				return 0, err
			}
		}
		if status >= 200 || status == 101 {
			return status, nil
		}
	}
}

// statusOf returns the status code of a status line, or 0 if that is none.
func statusOf(line string) int {
	version, rest, _ := strings.Cut(line, " ")
	if len(version) < 5 || !strings.EqualFold(version[:5], "HTTP/") {
		return 0
	}
	code, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if n, err := strconv.Atoi(code); err == nil && len(code) == 3 && n >= 100 {
		return n
	}
	return 0
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

// handshake makes conn one that speaks TLS, and reports whether the backend has asked for a
// certificate. The caller closes conn.
func handshake(ctx context.Context, conn net.Conn, cfg *tls.Config) (secure *tls.Conn, asked bool, err error) {
	own := cfg.GetClientCertificate
	cfg = cfg.Clone()
	cfg.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if asked = true; own == nil {
			return new(tls.Certificate), nil
		}
		return own(info)
	}
	secure = tls.Client(conn, cfg)
	err = secure.HandshakeContext(ctx)
	return secure, asked, err
}

// refusal waits a little for the alert of a backend that has asked for a certificate: by
// TLS 1.3 it refuses lb's, or that there is none, after the handshake.
func refusal(conn net.Conn) error {
	conn.SetReadDeadline(time.Now().Add(alertTimeout))
	if _, err := conn.Read(make([]byte, 1)); tlsfault.OfAlert(err) != tlsfault.None {
		return err
	}
	return nil
}

// failedTLS returns the result for err, which ended TLS. It says what loops say, too, and
// what is known beside it, such as the names in a certificate.
func failedTLS(err error, timeout time.Duration) result {
	kind := tlsfault.Of(err, time.Now())
	if kind == tlsfault.Late {
		return failed("tls", err, board.ReasonTimeout, timeout)
	}
	text := kind.String() + ": " + strings.TrimPrefix(err.Error(), "tls: failed to verify certificate: ")
	return result{why: kind.Reason(), detail: uint64(kind), cause: "tls: " + text[:min(len(text), causeMax)]}
}

// failed returns the result for err, which ended a probe in phase. why is the reason if
// err is neither a timeout nor a broken connection.
func failed(phase string, err error, why board.Reason, timeout time.Duration) result {
	r := result{why: why, ours: oneOf(err, ourErrors)}
	text := err.Error()
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
