package crew

import (
	"os"
	"os/signal"
	"syscall"

	"lb/supervise/engine"
)

// panicsAtOnce is how many panics one SIGUSR1 makes in a worker of the tests: one
// too many.
const panicsAtOnce = panicsMax + 1

// runWorker is Worker, for tests: its loop panics when it is sent SIGUSR1.
func runWorker() (exitCode int) {
	w, exitCode := beginWorker()
	if w == nil {
		return exitCode
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	go func() {
		for range c {
			panicOften(w.engine)
		}
	}()
	return w.run()
}

// panicOften has the loop of e panic more often than it may.
func panicOften(e *engine.Engine) {
	for range panicsAtOnce {
		e.Ping(func() { panic("of the test") })
	}
}
