package looptest

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lb/loop"
)

// Run turns l until the condition until holds, nothing more can happen, or maxTurns
// turns have run. It returns whether until holds then. A nil until waits for the
// stall. Run panics if the loop misused a descriptor.
func (k *Kernel) Run(l *loop.Loop, until func() bool, maxTurns int) bool {
	if until == nil {
		until = k.Stalled
		k.stalled = false
	}
	for range maxTurns {
		if until() {
			return true
		}
		l.Turn(true)
		if len(k.misuses) > 0 {
			panic("looptest: " + strings.Join(k.misuses, "; "))
		}
		if k.stalled {
			break
		}
	}
	return until()
}

// Pass turns l until d has passed on the fake clock, with all that happens meanwhile.
func (k *Kernel) Pass(l *loop.Loop, d time.Duration) {
	over := false
	k.After(d, func() {
		over = true
		k.Wake()
	})
	for !over {
		l.Turn(true)
	}
}

// Stalled returns true if the last Wait had no timeout, nothing to report and
// nothing to wait for: a real Wait would never have returned.
func (k *Kernel) Stalled() bool { return k.stalled }

// Misuses returns the loop's wrong uses of descriptors.
func (k *Kernel) Misuses() []string { return k.misuses }

// OpenFDs returns how many descriptors the loop's side has open, without the
// listening sockets.
func (k *Kernel) OpenFDs() int { return k.open }

// Open describes each descriptor that OpenFDs counts, in order.
func (k *Kernel) Open() []string {
	var all []string
	for _, f := range k.files {
		if f.sock != nil {
			all = append(all, f.sock.String())
		}
	}
	return all
}

func (s *sock) String() string {
	kind := "client " + name(loop.Addr{IP: s.from})
	if s.dialed {
		kind = "backend " + name(s.to)
	}
	return fmt.Sprintf("%d as %d: %s, %s, %d bytes to read, %d not sent", s.fd, s.gen, kind,
		flagNames(s.state()), len(s.arrived), len(s.queue))
}

// TraceTo writes every call of the loop, event and fault to w, one a line; nil ends
// that. Two runs of one seed write the same.
func (k *Kernel) TraceTo(w io.Writer) { k.trace = w }

func (k *Kernel) tracef(format string, args ...any) {
	if k.trace != nil {
		fmt.Fprintf(k.trace, "%12d  %s\n", k.now.Sub(startOfTime).Nanoseconds(), fmt.Sprintf(format, args...))
	}
}

func flagNames(f loop.Flags) string {
	names := []string{"readable", "writable", "peer shut", "hangup"}
	var set []string
	for i, n := range names {
		if f&(1<<i) != 0 {
			set = append(set, n)
		}
	}
	return strings.Join(set, "+")
}
