// Package signals sorts the signals that lb is sent by what they ask for.
package signals

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Intake sorts signals. A signal that ends lb never waits behind others, however
// many there are, and any number of waiting SIGHUPs count as one.
type Intake struct {
	Reload  chan struct{}  // SIGHUP
	Upgrade chan struct{}  // SIGUSR2
	Reopen  chan struct{}  // SIGUSR1: the access log
	End     chan os.Signal // any other
	stop    func()
}

// endsMax is how many signals that end lb can wait. The first drains, the second
// cuts, and more of them say nothing new.
const endsMax = 4

// New sorts the signals from the channel, or those of the process if from is nil, until
// Close.
func New(from <-chan os.Signal) *Intake {
	in := &Intake{
		Reload:  make(chan struct{}, 1),
		Upgrade: make(chan struct{}, 1),
		Reopen:  make(chan struct{}, 1),
		End:     make(chan os.Signal, endsMax),
	}
	forget := func() {}
	if from == nil {
		c := make(chan os.Signal, 64)
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
		IgnoreWrites()
		from, forget = c, func() { signal.Stop(c) }
	}
	done, ended := make(chan struct{}), make(chan struct{})
	in.stop = sync.OnceFunc(func() { forget(); close(done); <-ended })
	go func() {
		defer close(ended)
		for {
			select {
			case sig := <-from:
				in.sort(sig)
			case <-done:
				return
			}
		}
	}()
	return in
}

// IgnoreWrites sees to it that lb does not die because its log is no longer read, or a log
// has become as large as a file may be, neither now nor when it writes its last lines.
func IgnoreWrites() { signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ) }

func (in *Intake) sort(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		offer(in.Reload, struct{}{})
	case syscall.SIGUSR1:
		offer(in.Reopen, struct{}{})
	case syscall.SIGUSR2:
		offer(in.Upgrade, struct{}{})
	default:
		offer(in.End, sig)
	}
}

// offer puts v into c, or drops it if c is full.
func offer[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

// Close hears no signals any longer.
func (in *Intake) Close() { in.stop() }
