package supervise

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// intake sorts signals. A signal that ends lb never waits behind others, however
// many there are, and any number of waiting SIGHUPs count as one.
type intake struct {
	reload  chan struct{}
	upgrade chan struct{}
	end     chan os.Signal
	stop    func()
}

// endsMax is how many signals that end lb can wait. The first drains, the second
// cuts, and more of them say nothing new.
const endsMax = 4

// newIntake sorts the signals from the channel, or those of the process if from is
// nil.
func newIntake(from <-chan os.Signal) *intake {
	in := &intake{
		reload:  make(chan struct{}, 1),
		upgrade: make(chan struct{}, 1),
		end:     make(chan os.Signal, endsMax),
	}
	forget := func() {}
	if from == nil {
		c := make(chan os.Signal, 64)
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR2)
		ignorePipes()
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

// ignorePipes sees to it that lb does not die because its log is no longer read, neither
// now nor when it writes its last lines.
func ignorePipes() { signal.Ignore(syscall.SIGPIPE) }

func (in *intake) sort(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		offer(in.reload, struct{}{})
	case syscall.SIGUSR2:
		offer(in.upgrade, struct{}{})
	default:
		offer(in.end, sig)
	}
}

// offer puts v into c, or drops it if c is full.
func offer[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

func (in *intake) close() { in.stop() }
