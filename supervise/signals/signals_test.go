package signals

import (
	"os"
	"syscall"
	"testing"
)

// Signals that end lb are kept, however many signals wait.
func TestIntake(t *testing.T) {
	from := make(chan os.Signal)
	in := New(from)
	for range 1000 {
		from <- syscall.SIGHUP
		from <- syscall.SIGUSR1
		from <- syscall.SIGUSR2
	}
	from <- syscall.SIGTERM
	for range 1000 {
		from <- syscall.SIGHUP
	}
	from <- syscall.SIGQUIT
	in.Close()
	if len(in.Reload) != 1 || len(in.Reopen) != 1 || len(in.Upgrade) != 1 || len(in.End) != 2 {
		t.Errorf("%d reloads, %d reopens, %d upgrades, %d ends; want 1, 1, 1, 2", len(in.Reload), len(in.Reopen), len(in.Upgrade), len(in.End))
	}
	if first, second := <-in.End, <-in.End; first != syscall.SIGTERM || second != syscall.SIGQUIT {
		t.Errorf("ends %v, %v", first, second)
	}
}
