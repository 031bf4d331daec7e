package proxy

import (
	"log/slog"
	"net/netip"

	"lb/board"
	"lb/config"
	"lb/loop"
)

// Options are what a proxy needs beside its loop.
type Options struct {
	Config    *config.Config
	Board     *board.Board
	LoopIndex int
	Loops     int
	// Addrs are the resolved addresses of the backends, by pool and backend;
	// an empty list is a name that did not resolve yet.
	Addrs [][][]loop.Addr
	Log   *slog.Logger
}

// Proxy is the data plane of one loop. All methods are called on the loop.
type Proxy struct{}

// New returns a proxy on l. It is the loop.Acceptor of its listeners.
func New(l *loop.Loop, o Options) *Proxy { panic("stub") }

// Accepted takes over a client connection.
func (p *Proxy) Accepted(fd int, peer netip.AddrPort) { panic("stub") }

// SetAddrs replaces the addresses of one backend, after a name was resolved anew.
func (p *Proxy) SetAddrs(pool, backend int, addrs []loop.Addr) { panic("stub") }

// Drain stops accepting, closes idle conns, answers what runs with
// Connection: close, and calls done once, on the loop, when the last client conn has gone.
func (p *Proxy) Drain(done func()) { panic("stub") }

// Cut ends every conn at once and returns how many exchanges were cut off.
func (p *Proxy) Cut() int { panic("stub") }
