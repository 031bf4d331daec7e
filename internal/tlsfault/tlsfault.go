// Package tlsfault is what can go wrong in TLS with a backend: recognised in errors, said
// in words, and as a reason on the board. Loops, health checks and the log share it.
package tlsfault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"lb/board"
)

// Kind is what has failed. Its numbers stand on the board, which outlives a binary: new
// ones are appended.
type Kind uint16

// The kinds. The first five are about the backend's certificate.
const (
	None         Kind = iota
	WrongName         // it is not for the name
	Unknown           // no authority that is believed has signed it
	Expired           // its last day is over
	Early             // its first day is still to come
	Unfit             // anything else
	NoVersion         // no version of TLS in common
	Refused           // the backend refuses the handshake
	CertRequired      // the backend asks for a certificate of lb
	CertRefused       // the backend refuses the certificate of lb, or asks for one
	UnknownName       // the backend does not know the name
	NoProtocol        // the backend has no protocol in common with lb
	NotTLS            // the backend answers something that is no TLS
	Renegotiates      // the backend asks for another handshake
	Closed            // the backend ended or reset the conn in the handshake
	Late              // the handshake did not end in time
	Alerted           // another alert of the backend
	Broken            // the backend breaks the protocol
)

// words are the names of the kinds in logs, by Kind.
var words = [...]string{
	None:         "",
	WrongName:    "its certificate is for another name",
	Unknown:      "its certificate is of an unknown authority",
	Expired:      "its certificate has expired",
	Early:        "its certificate is not valid yet",
	Unfit:        "its certificate is unfit",
	NoVersion:    "no version of TLS in common",
	Refused:      "it refuses the handshake: no cipher suite in common, or it asks for a client certificate",
	CertRequired: "it asks for a client certificate",
	CertRefused:  "it refuses the client certificate, or asks for one",
	UnknownName:  "it does not know the server name",
	NoProtocol:   "it does not speak the protocol of the pool (ALPN)",
	NotTLS:       "it does not speak TLS",
	Renegotiates: "it asks for a renegotiation",
	Closed:       "it closed the connection in the TLS handshake",
	Late:         "no TLS handshake in time (timeouts.connect)",
	Alerted:      "it ended TLS with an alert",
	Broken:       "it breaks the protocol of TLS",
}

// String returns what has failed in words, with the backend as "it".
func (k Kind) String() string {
	if int(k) < len(words) {
		return words[k]
	}
	return "TLS has failed" // a kind of a newer binary
}

// Reason returns the reason on the board.
func (k Kind) Reason() board.Reason {
	switch k {
	case WrongName, UnknownName:
		return board.ReasonTLSName
	case Unknown:
		return board.ReasonTLSChain
	case Expired, Early:
		return board.ReasonTLSDate
	case NoVersion:
		return board.ReasonTLSVersion
	}
	return board.ReasonTLS
}

// Of returns the kind of err, which has ended TLS with a backend at now.
func Of(err error, now time.Time) Kind {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		roots   x509.SystemRootsError
		invalid x509.CertificateInvalidError
		unfit   *tls.CertificateVerificationError
		header  tls.RecordHeaderError
		errno   syscall.Errno
	)
	switch {
	case err == nil:
		return None
	case errors.As(err, &name):
		return WrongName
	case errors.As(err, &unknown), errors.As(err, &roots):
		return Unknown
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
			return Early
		}
		return Expired
	case errors.As(err, &invalid), errors.As(err, &unfit):
		return Unfit
	case errors.As(err, &header):
		if header.Conn != nil { // the first bytes
			return NotTLS
		}
		return Broken
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Late
	case errors.As(err, &errno), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Closed
	}
	if k := OfAlert(err); k != None {
		return k
	}
	return ofText(err.Error())
}

// OfAlert returns the kind of err if that is an alert, of the backend or of lb, else None.
func OfAlert(err error) Kind {
	var op *net.OpError
	switch {
	case !errors.As(err, &op):
		return None
	case op.Op == "remote error":
		if k, ok := alerts[op.Err.Error()]; ok {
			return k
		}
		return Alerted
	case op.Op != "local error":
		return None
	case op.Err.Error() == noRenegotiation:
		return Renegotiates
	}
	return Broken
}

// noRenegotiation is the alert by which crypto/tls refuses a renegotiation.
var noRenegotiation = tls.AlertError(100).Error()

// alerts are the kinds of alerts of backends (RFC 8446 6), by their text, because the type
// of crypto/tls is not exported.
var alerts = map[string]Kind{}

func init() {
	for k, numbers := range map[Kind][]uint8{
		Refused:      {40, 71},
		CertRefused:  {42, 43, 44, 45, 46, 48, 49},
		NoVersion:    {70, 86},
		UnknownName:  {112},
		CertRequired: {116},
		NoProtocol:   {120},
	} {
		for _, n := range numbers {
			alerts[tls.AlertError(n).Error()] = k
		}
	}
}

// ofText returns the kind of an error of crypto/tls that has no type.
func ofText(text string) Kind {
	switch {
	case strings.Contains(text, "protocol version"):
		return NoVersion
	case strings.Contains(text, "ALPN"):
		return NoProtocol
	}
	return Broken
}
