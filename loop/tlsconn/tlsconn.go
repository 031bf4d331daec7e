// Package tlsconn is TLS over a conn of a loop, by crypto/tls: handshakes on a thread
// beside the loop, then records on the loop.
package tlsconn

import (
	"crypto/tls"
	"errors"

	"lb/arena"
	"lb/loop"
)

// Shaker runs the handshakes of one loop. All methods are called on that loop.
type Shaker struct{}

// Owner hears how the handshake of its conn has ended.
type Owner interface {
	// Shaken is called on the loop, once, unless the conn is closed before. After an error
	// the owner closes the conn: the alert is written already.
	Shaken(err error)
}

// ErrBusy is the error of a handshake that was not begun because too many wait.
var ErrBusy = errors.New("too many handshakes wait")

// NewShaker returns what runs the handshakes of l. Slabs come from a.
func NewShaker(l *loop.Loop, a *arena.Arena) *Shaker { return &Shaker{} }

// Close ends the thread. Handshakes that have not ended are dropped.
func (s *Shaker) Close() {}

// Server begins the server's side of a handshake on c, and Client that of a client. The
// result becomes the transport of c at once. Until the handshake is over the owner of c
// calls Advance for each event, and no other method of c but Close. first has bytes that
// were read already.
func (s *Shaker) Server(c *loop.Conn, o Owner, cfg *tls.Config, first []byte) (*Conn, error) {
	return nil, errors.New("tlsconn: not built yet")
}

// Client is like Server.
func (s *Shaker) Client(c *loop.Conn, o Owner, cfg *tls.Config) (*Conn, error) {
	return nil, errors.New("tlsconn: not built yet")
}

// Conn is TLS on one conn: its transport.
type Conn struct{}

// Advance moves the handshake on, after an event.
func (t *Conn) Advance() {}

// State returns what was agreed on in the handshake.
func (t *Conn) State() tls.ConnectionState { return tls.ConnectionState{} }
