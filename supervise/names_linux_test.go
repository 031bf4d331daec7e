package supervise

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// Lists of processes show which one is a worker, and its number as in the log. The metrics
// of processes have the same names.
func TestWorkersHaveNames(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	cfg.Workers = 2
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "hello").URL)
	in := serve(t, cfg, Options{})
	var names []string
	for _, p := range in.running.Processes()[1:] {
		names = append(names, p.Name)
		for _, file := range []string{"cmdline", "comm"} {
			path := fmt.Sprintf("/proc/%d/%s", p.PID, file)
			testkit.Until(t, path, func() bool {
				b, err := os.ReadFile(path)
				return err == nil && strings.TrimRight(string(b), "\x00\n") == "lb: "+p.Name
			})
		}
	}
	if want := []string{"worker 0", "worker 1"}; !slices.Equal(names, want) {
		t.Errorf("workers %q, want %q", names, want)
	}
	if ok, loaded := in.running.LastReload(); !ok || loaded.IsZero() {
		t.Errorf("the last reload: %v, %v", ok, loaded)
	}
}
