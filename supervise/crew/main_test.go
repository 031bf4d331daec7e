package crew

import (
	"os"
	"testing"
)

// TestMain has a process of the test binary be a worker if it was started as one.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=10") // else every process built with -race takes a second to end
	if IsWorker() {
		os.Exit(runWorker())
	}
	os.Exit(m.Run())
}
