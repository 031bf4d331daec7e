package testkit

import (
	"fmt"
	"strings"
	"sync"

	"lb/admin/api"
)

// Control is a fake api.Control: it notes what it is asked and answers what the
// test has put into its fields. A test may change the fields while nothing is asked.
type Control struct {
	Running  api.Status      // the answer of Status
	Hold     <-chan struct{} // Status waits for it to be closed, unless it is nil
	Reloaded api.Reloaded
	Upgraded api.Upgraded
	Err      error // for Reload, Upgrade, Drain and SetBackend
	Changed  api.Backend
	// Change, if it is set, answers SetBackend in the place of Changed and Err.
	Change func(pool, address string, action api.Action, weight int) (api.Backend, error)

	mu    sync.Mutex
	asked []string
}

func (c *Control) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, fmt.Sprintf(format, args...))
}

// Asked returns what was asked since the last call of Asked: the methods and their
// arguments as in `reload plan=true; weight api a:80 5`.
func (c *Control) Asked() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := strings.Join(c.asked, "; ")
	c.asked = nil
	return out
}

// Status returns c.Running.
func (c *Control) Status() api.Status {
	c.note("status")
	if c.Hold != nil {
		<-c.Hold
	}
	return c.Running
}

// Reload returns c.Reloaded and c.Err.
func (c *Control) Reload(plan bool) (api.Reloaded, error) {
	c.note("reload plan=%v", plan)
	return c.Reloaded, c.Err
}

// Upgrade returns c.Upgraded and c.Err.
func (c *Control) Upgrade(binary string) (api.Upgraded, error) {
	c.note("upgrade %q", binary)
	return c.Upgraded, c.Err
}

// Drain returns c.Err.
func (c *Control) Drain() error {
	c.note("drain")
	return c.Err
}

// SetBackend returns what c.Change returns, or c.Changed and c.Err without it.
func (c *Control) SetBackend(pool, address string, action api.Action, weight int) (api.Backend, error) {
	c.note("%s %s %s %d", action, pool, address, weight)
	if c.Change != nil {
		return c.Change(pool, address, action, weight)
	}
	return c.Changed, c.Err
}
