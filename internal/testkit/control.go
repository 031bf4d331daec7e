package testkit

import (
	"context"
	"encoding/json"
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

	Records   []json.RawMessage // of Faults, FollowFaults and Trace
	Explained api.Explained
	Set       []api.Setting
	Level     string
	Past      api.History

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

// Faults returns the last of c.Records.
func (c *Control) Faults(most int) []json.RawMessage {
	c.note("faults %d", most)
	return c.Records[max(0, len(c.Records)-most):]
}

// FollowFaults gives each c.Records, and waits for ctx.
func (c *Control) FollowFaults(ctx context.Context, most int, each func(json.RawMessage)) error {
	c.note("follow faults %d", most)
	return c.stream(ctx, each)
}

// Trace gives each c.Records, and waits for ctx, unless c.Err is set.
func (c *Control) Trace(ctx context.Context, ask api.TraceAsk, each func(json.RawMessage)) error {
	c.note("trace %q %q %v", ask.Client, ask.ID, ask.For)
	return c.stream(ctx, each)
}

func (c *Control) stream(ctx context.Context, each func(json.RawMessage)) error {
	if c.Err != nil {
		return c.Err
	}
	each(nil)
	for _, r := range c.Records {
		each(r)
	}
	<-ctx.Done()
	return nil
}

// Explain returns c.Explained and c.Err.
func (c *Control) Explain(ask api.ExplainAsk) (api.Explained, error) {
	c.note("explain %s %s %q %q", ask.Method, ask.URL, ask.Headers, ask.From)
	return c.Explained, c.Err
}

// Settings returns c.Set.
func (c *Control) Settings() []api.Setting { return c.Set }

// LogLevel returns c.Level.
func (c *Control) LogLevel() string { return c.Level }

// SetLogLevel sets c.Level, unless c.Err is set.
func (c *Control) SetLogLevel(level string) error {
	c.note("log level %s", level)
	if c.Err == nil {
		c.Level = level
	}
	return c.Err
}

// History returns c.Past.
func (c *Control) History() api.History { return c.Past }
