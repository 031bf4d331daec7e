package loop

import "lb/loop/tick"

// This file is the agreed shape; the real bodies replace it.

type Options struct {
	ConnsMax int // open client connections above which the loop stops accepting; 0: no limit
}

type Loop struct{}

func New(k Kernel, o Options) *Loop { panic("stub") }

// Now returns the time read at the start of this turn.
func (l *Loop) Now() tick.Instant { panic("stub") }

// Adopt watches fd as c; its events go to h. On error fd is closed.
func (l *Loop) Adopt(c *Conn, h Handler, fd int) error { panic("stub") }

// Dial begins to connect c; h.Ready runs when the attempt has ended: DialResult tells how.
func (l *Loop) Dial(c *Conn, h Handler, to *Addr) error { panic("stub") }

// Listen accepts on fd, which the loop does not own, for a, until Unlisten.
func (l *Loop) Listen(fd int, a Acceptor) error { panic("stub") }

// Unlisten stops accepting on every listener; the descriptors stay open.
func (l *Loop) Unlisten() { panic("stub") }

// Arm sets t to expire at the deadline at; o is called then.
func (l *Loop) Arm(t *Timer, o Expirer, at tick.Instant) { panic("stub") }

// Disarm takes t out; afterwards its memory may be used for anything else.
func (l *Loop) Disarm(t *Timer) { panic("stub") }

// Post has f run on the loop, in order. Any goroutine may call it. It returns
// false, and f is not run, when the loop has ended.
func (l *Loop) Post(f func()) bool { panic("stub") }

// Run turns until Stop, on a locked OS thread.
func (l *Loop) Run() { panic("stub") }

// Turn is one turn; block false does not wait. For tests and simulation.
func (l *Loop) Turn(block bool) { panic("stub") }

// Stop ends Run after the current turn. Any goroutine may call it.
func (l *Loop) Stop() { panic("stub") }

// Conns returns the number of open conns, listeners not counted.
func (l *Loop) Conns() int { panic("stub") }

func (c *Conn) IsOpen() bool                             { panic("stub") }
func (c *Conn) Readable() bool                           { panic("stub") }
func (c *Conn) Writable() bool                           { panic("stub") }
func (c *Conn) PeerShut() bool                           { panic("stub") }
func (c *Conn) Hangup() bool                             { panic("stub") }
func (c *Conn) DialResult() error                        { panic("stub") }
func (c *Conn) Read(b []byte) (n int, err error)         { panic("stub") }
func (c *Conn) Write(b []byte) (n int, err error)        { panic("stub") }
func (c *Conn) Writev(x, y, z []byte) (n int, err error) { panic("stub") }
func (c *Conn) ShutdownWrite() error                     { panic("stub") }

// Again has Ready called at the next turn, without an event.
func (c *Conn) Again() { panic("stub") }

// Close ends the conn: no further Ready, the descriptor is closed at the end of
// the turn (reset: the peer sees a reset). The struct may be used anew at once.
func (c *Conn) Close(reset bool) { panic("stub") }
