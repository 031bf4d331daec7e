package tlsfault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"lb/board"
)

// TestWords: each kind has words of its own and a reason in TLS.
func TestWords(t *testing.T) {
	seen := map[string]Kind{}
	for k := None + 1; k <= Broken; k++ {
		if other, ok := seen[k.String()]; ok || k.String() == "" {
			t.Errorf("kind %d has the words %q, as kind %d", k, k, other)
		}
		seen[k.String()] = k
		if !k.Reason().InTLS() {
			t.Errorf("%v: reason %v", k, k.Reason())
		}
	}
	if len(words) != int(Broken)+1 || None.String() != "" || Kind(999).String() == "" || Kind(999).Reason() != board.ReasonTLS {
		t.Errorf("%d words, of another binary %q", len(words), Kind(999))
	}
}

// TestOf: what crypto/tls and the system return, wrapped or not.
func TestOf(t *testing.T) {
	now := time.Now()
	verify := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	remote := func(n uint8) error { return &net.OpError{Op: "remote error", Err: tls.AlertError(n)} }
	dated := func(from, to time.Duration) error {
		return verify(x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to)}})
	}
	for _, tc := range []struct {
		err  error
		want Kind
	}{
		{nil, None},
		{verify(x509.HostnameError{Certificate: &x509.Certificate{}}), WrongName},
		{verify(x509.UnknownAuthorityError{}), Unknown},
		{verify(x509.SystemRootsError{}), Unknown},
		{dated(-2*time.Hour, -time.Hour), Expired},
		{dated(time.Hour, 2*time.Hour), Early},
		{verify(x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}), Unfit},
		{verify(errors.New("something")), Unfit},
		{tls.RecordHeaderError{Conn: &net.TCPConn{}}, NotTLS},
		{tls.RecordHeaderError{}, Broken},
		{context.DeadlineExceeded, Late},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, Late},
		{syscall.ECONNRESET, Closed},
		{fmt.Errorf("read: %w", syscall.EPIPE), Closed},
		{io.EOF, Closed},
		{io.ErrUnexpectedEOF, Closed},
		{remote(40), Refused}, {remote(71), Refused},
		{remote(42), CertRefused}, {remote(46), CertRefused}, {remote(48), CertRefused},
		{remote(70), NoVersion}, {remote(112), UnknownName}, {remote(116), CertRequired}, {remote(120), NoProtocol},
		{remote(80), Alerted}, {remote(255), Alerted},
		{&net.OpError{Op: "local error", Err: tls.AlertError(100)}, Renegotiates},
		{&net.OpError{Op: "local error", Err: tls.AlertError(10)}, Broken},
		{errors.New("tls: server selected unsupported protocol version 301"), NoVersion},
		{errors.New("tls: server selected unadvertised ALPN protocol"), NoProtocol},
		{errors.New("tls: anything"), Broken},
	} {
		if got := Of(tc.err, now); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.err, got, tc.want)
		}
	}
	if OfAlert(io.EOF) != None || OfAlert(&net.OpError{Op: "read", Err: io.EOF}) != None || OfAlert(remote(40)) != Refused {
		t.Error("alerts are not told from other errors")
	}
}
