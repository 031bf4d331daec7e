// Package api is what an operator can ask of an lb that runs, and what comes
// back: the words that the commands, the runtime server and the supervisor have
// in common. It does nothing itself.
package api

import "time"

// UpgradeMax is how long a new process may take to serve before an upgrade is given
// up. The client of the commands waits longer than that for an answer.
const UpgradeMax = 10 * time.Second

// Control is what an operator's commands do. Any goroutine may call it, and each
// call answers within about a second, Upgrade within UpgradeMax and a little. An error is for
// the operator: one line that says what was refused and how to mend it, a
// NotFoundError, or config.Errors for a file that is not accepted.
type Control interface {
	// Status tells what runs. It does not change anything, and works in a drain.
	Status() Status
	// Reload reads the configuration again and puts it to work; with plan it only
	// says what would change. An error: it was refused and nothing has changed, or
	// not every loop has taken it up yet; then Reloaded says what is being changed.
	Reload(plan bool) (Reloaded, error)
	// Upgrade puts the program at binary in the place of this one and returns when
	// it serves; "" is the path that this one was started from.
	Upgrade(binary string) (Upgraded, error)
	// Drain begins to drain, as SIGTERM does, and does not wait for the end.
	Drain() error
	// SetBackend changes one backend at run time and returns what it is then. pool
	// and address are those of the configuration, in any spelling of it. weight is
	// for Weight: 1 to 65535, or 0 for what the configuration says.
	SetBackend(pool, address string, action Action, weight int) (Backend, error)
}

// Action is what can be done to a backend at run time.
type Action string

// The actions.
const (
	Drain   Action = "drain"   // nothing new; what runs, and what is sticky, goes on
	Enable  Action = "enable"  // as the configuration has it
	Disable Action = "disable" // nothing new, not even what is sticky
	Weight  Action = "weight"
)

// NotFoundError is the text of an error about a pool or a backend that is not there.
type NotFoundError string

// Error returns the text.
func (e NotFoundError) Error() string { return string(e) }

// Reloaded is what a reload has changed, or would change.
type Reloaded struct {
	Plan    bool     `json:"plan"`              // nothing was changed
	Number  uint64   `json:"number"`            // of the configuration at work, counted from 1
	Changes []string `json:"changes,omitempty"` // config.Change, a line each; none: nothing changed
	// Notes are what else there is to know, a line each: run-time changes that
	// the file overwrote, names without an address.
	Notes []string `json:"notes,omitempty"`
}

// Upgraded is the process that serves now.
type Upgraded struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

// States of lb.
const (
	Serving   = "serving"
	Draining  = "draining"
	Upgrading = "upgrading" // a new process is being started
)

// Status is everything an operator is told at once.
type Status struct {
	Version      string       `json:"version"`
	PID          int          `json:"pid"`
	State        string       `json:"state"`
	Mode         string       `json:"mode"`
	Address      string       `json:"address"`                 // host:port that is served
	AdminAddress string       `json:"admin_address,omitempty"` // host:port; "" for off
	Started      time.Time    `json:"started"`                 // the first process, before any upgrade
	Config       ConfigStatus `json:"config"`
	// UpgradeFault is why the last upgrade failed; "" if it did not.
	UpgradeFault   string    `json:"upgrade_fault,omitempty"`
	UpgradeFaultAt time.Time `json:"upgrade_fault_at,omitzero"`
	Totals         Totals    `json:"totals"`
	Loops          []Loop    `json:"loops"`
	Pools          []Pool    `json:"pools"`
}

// ConfigStatus is the configuration at work, and what became of a newer one.
type ConfigStatus struct {
	File     string    `json:"file,omitempty"` // "" without one
	Number   uint64    `json:"number"`         // counted from 1, over upgrades
	Loaded   time.Time `json:"loaded"`
	Watching bool      `json:"watching"`        // a change of the file is a reload
	Fault    string    `json:"fault,omitempty"` // why the last reload was refused, perhaps several lines; "" if it was not
	FaultAt  time.Time `json:"fault_at,omitzero"`
}

// Totals are sums over all loops. What counts goes on over crashes and upgrades.
type Totals struct {
	ClientConns    uint64    `json:"client_conns"`  // open
	BackendConns   uint64    `json:"backend_conns"` // open, idle ones included
	Exchanges      uint64    `json:"exchanges"`     // at work
	Tunnels        uint64    `json:"tunnels"`       // upgraded, such as WebSockets
	Requests       uint64    `json:"requests"`
	Replies        [6]uint64 `json:"replies"` // by status class: [1] 1xx ... [5] 5xx; [0] means nothing
	Retries        uint64    `json:"retries"`
	Panics         uint64    `json:"panics"`
	WorkerRestarts uint64    `json:"worker_restarts"`
	Reloads        uint64    `json:"reloads"`
	ReloadFaults   uint64    `json:"reload_faults"`
	Upgrades       uint64    `json:"upgrades"`
}

// States of a loop.
const (
	LoopServing  = "serving"
	LoopStarting = "starting"
	LoopWaiting  = "waiting"  // it died and is started again after a while
	LoopRetiring = "retiring" // it finishes what it has
)

// Loop is one event loop: a worker process, or a thread of this one.
type Loop struct {
	Slot      int       `json:"slot"` // on the board
	PID       int       `json:"pid"`
	State     string    `json:"state"`
	Since     time.Time `json:"since,omitzero"` // when it began
	Restarts  int       `json:"restarts"`
	Conns     uint64    `json:"conns"`     // open, of clients
	Exchanges uint64    `json:"exchanges"` // at work
	Requests  uint64    `json:"requests"`  // of this slot, whoever had it
}

// Pool is a pool with its backends, both in the order of the configuration.
type Pool struct {
	Name     string    `json:"name"`
	Strategy string    `json:"strategy"`
	Backends []Backend `json:"backends"`
}

// What Backend.Admin says.
const (
	Enabled  = "enabled"
	Drained  = "draining"
	Disabled = "disabled"
)

// Backend is one backend of a pool as all loops see it.
type Backend struct {
	Pool             string    `json:"pool"`
	Address          string    `json:"address"`           // host:port, [v6]:port or unix:/path
	Weight           int       `json:"weight"`            // that is at work
	ConfiguredWeight int       `json:"configured_weight"` // that of the configuration
	Backup           bool      `json:"backup,omitempty"`
	MaxConnections   int       `json:"max_connections,omitempty"` // 0: unlimited
	Admin            string    `json:"admin"`                     // drain = true of the configuration included
	Runtime          bool      `json:"runtime"`                   // weight or admin was changed at run time, and so differs from the file
	Health           string    `json:"health"`                    // unknown (not checked), up or down
	HealthReason     string    `json:"health_reason,omitempty"`   // such as "timeout" or "status 503"
	Since            time.Time `json:"since,omitzero"`            // when health last changed
	Ejected          bool      `json:"ejected"`
	EjectedReason    string    `json:"ejected_reason,omitempty"`
	EjectedUntil     time.Time `json:"ejected_until,omitzero"`
	InFlight         uint64    `json:"in_flight"`
	Attempts         uint64    `json:"attempts"`
	Faults           uint64    `json:"faults"` // attempts that failed by its doing
}
