package handover

import (
	"slices"
	"testing"
)

// What systemd meant for one process alone does not reach the next.
func TestSuccessorEnv(t *testing.T) {
	got := successorEnv([]string{
		"PATH=/bin", "NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=5", "WATCHDOG_PID=1", "LISTEN_FDS=2",
		"LISTEN_PID=1", "LISTEN_FDNAMES=a:b", "LB_WORKER=1", "LB_UPGRADE=9", "LISTEN_FDS_OTHER=1",
	})
	want := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=5", "LISTEN_FDS_OTHER=1", "LB_UPGRADE=3"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
