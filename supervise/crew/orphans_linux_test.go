package crew

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// Processes without a parent are waited for, and workers still tell how they died.
func TestReapOrphans(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil { // as process 1 is
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	r := newRig(t, supervisetest.Config(config.MP), 1, 1)
	var orphans []int
	for range 3 {
		out, err := exec.Command("/bin/sh", "-c", "true >/dev/null & echo $!").Output()
		pid, numErr := strconv.Atoi(strings.TrimSpace(string(out)))
		if err = errors.Join(err, numErr); err != nil {
			t.Fatal(err)
		}
		orphans = append(orphans, pid)
	}
	supervisetest.Kill(t, r.crew.Loops()[0].PID, syscall.SIGKILL)
	for _, pid := range orphans {
		testkit.Until(t, "the orphan to be gone", func() bool { ReapOrphans(); return syscall.Kill(pid, 0) == syscall.ESRCH })
	}
	testkit.Until(t, "a successor", func() bool { ReapOrphans(); return r.crew.Loops()[0].Restarts == 1 })
	if log := r.log.String(); !strings.Contains(log, "signal: killed") {
		t.Errorf("want the cause of death in the log:\n%s", log)
	}
	r.serving(1)
}
