// Package api defines what an operator can ask of a running lb, and the answers. The
// commands, the runtime server and the supervisor share these types. The package does
// nothing itself.
package api

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// UpgradeMax is how long a new process may take to serve before an upgrade is given
// up. The client of the commands waits longer than that for an answer.
const UpgradeMax = 10 * time.Second

// Control carries out an operator's commands. Any goroutine may call it. Each call
// returns within about a second, Upgrade within little more than UpgradeMax. An error
// is for the operator: one line that says what was refused and what to do about it, a
// NotFoundError, an AskError, or config.Errors for a file that is not accepted.
type Control interface {
	// Status returns what runs. It changes nothing, and works during a drain.
	Status() Status
	// Reload reads the configuration again and applies it; with plan it only returns
	// what would change. After an error nothing has changed, or not every loop has
	// taken it up yet and Reloaded has what is being changed.
	Reload(plan bool) (Reloaded, error)
	// Upgrade replaces this process by the program at binary, and returns when that
	// serves; "" is the path that this process was started from.
	Upgrade(binary string) (Upgraded, error)
	// Drain begins to drain, as SIGTERM does, and does not wait for the end.
	Drain() error
	// SetBackend changes one backend at run time and returns its new state. pool and
	// address are those of the configuration, in any spelling. weight is for the action
	// Weight: 1 to config.WeightMax, or 0 for the weight of the configuration.
	SetBackend(pool, address string, action Action, weight int) (Backend, error)

	// Faults returns the last exchanges that failed or were slow, the newest last, at most
	// that many. Each is an object as proxy/accesslog writes it.
	Faults(most int) []json.RawMessage
	// FollowFaults calls each for the last ones, at most that many, and then for those that
	// are to come, until ctx is done or lb ends. The first call, with nil, says that it has
	// begun. A Lost stands for what each was too slow for.
	FollowFaults(ctx context.Context, most int, each func(json.RawMessage)) error
	// Trace calls each, as FollowFaults does, for the exchanges that ask matches, as they
	// end, until ask.For has passed, ctx is done, or lb ends. There is one trace at a time.
	Trace(ctx context.Context, ask TraceAsk, each func(json.RawMessage)) error
	// Explain returns what lb would do with a request now. It changes nothing.
	Explain(ask ExplainAsk) (Explained, error)
	// Settings returns every setting in use, in the order of lb.toml. Secrets are not shown.
	Settings() []Setting
	// LogLevel returns the level of lb's own log.
	LogLevel() string
	// SetLogLevel changes it until the next reload.
	SetLogLevel(level string) error
	// History returns what was sampled in the last minutes.
	History() History
}

// Action is a change of a backend at run time.
type Action string

// The actions.
const (
	Drain   Action = "drain"   // no new clients; exchanges and sticky clients go on
	Enable  Action = "enable"  // back to what the configuration says
	Disable Action = "disable" // no new exchanges, not even of sticky clients
	Weight  Action = "weight"
)

// NotFoundError is the text of an error about a pool or a backend that does not exist.
type NotFoundError string

// Error returns the text.
func (e NotFoundError) Error() string { return string(e) }

// Reloaded has what a reload has changed, or would change.
type Reloaded struct {
	Plan    bool     `json:"plan"`              // nothing was changed
	Number  uint64   `json:"number"`            // of the configuration in use, counted from 1
	Changes []string `json:"changes,omitempty"` // config.Change, one line each; empty if nothing changed
	// Notes are other things to know, one line each: run-time changes that the file
	// has overwritten, names without an address.
	Notes []string `json:"notes,omitempty"`
}

// Upgraded describes the process that serves after an upgrade.
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

// Status is the state of lb as a whole.
type Status struct {
	Version      string       `json:"version"`
	PID          int          `json:"pid"`
	State        string       `json:"state"`
	Mode         string       `json:"mode"`
	Address      string       `json:"address"`                 // of the first of Listeners
	Listeners    Listeners    `json:"listeners"`               // in the order of the configuration
	AdminAddress string       `json:"admin_address,omitempty"` // host:port; "" for off
	Started      time.Time    `json:"started"`                 // the first process, before any upgrade
	Config       ConfigStatus `json:"config"`
	// UpgradeFault is why the last upgrade failed; "" if it did not.
	UpgradeFault   string    `json:"upgrade_fault,omitempty"`
	UpgradeFaultAt time.Time `json:"upgrade_fault_at,omitzero"`
	// Troubles are what fails beside requests, a line each: the access log that cannot be
	// written, spans that are not taken.
	Troubles []string `json:"troubles,omitempty"`
	Totals   Totals   `json:"totals"`
	Loops    []Loop   `json:"loops"`
	Pools    []Pool   `json:"pools"`
	// Certificates are those in use, and the names that are to have one and have none yet.
	Certificates []Certificate `json:"certificates,omitempty"`
	// Discovery are the sources of pools, then the names of backends.
	Discovery []Discovery `json:"discovery,omitempty"`
}

// Discovery is a source of backends, or a name that is looked up for them.
type Discovery struct {
	Pool       string    `json:"pool,omitempty"`       // of a source; "" for a name, which any pool may use
	Source     string    `json:"source"`               // the address of a source without secrets, or a name
	Resolver   string    `json:"resolver,omitempty"`   // of a name; "" for the name servers of the system
	Up         bool      `json:"up"`                   // it has answered, and its last answer was good
	Backends   int       `json:"backends"`             // that are known: of a name its addresses
	LastAnswer time.Time `json:"last_answer,omitzero"` // the last good one
	Next       time.Time `json:"next,omitzero"`        // when a name is asked for; the zero time if that is now
	Fault      string    `json:"fault,omitempty"`      // why the last answer is none; "" if it is good
	FaultAt    time.Time `json:"fault_at,omitzero"`
	Changes    uint64    `json:"changes"` // of what is known
	Errors     uint64    `json:"errors"`
}

// Certificate is a certificate that lb shows to clients, or to the backends of a pool.
type Certificate struct {
	Name    string    `json:"name"`            // the first of Names, or its subject
	Names   []string  `json:"names,omitempty"` // what it is for
	Issuer  string    `json:"issuer,omitempty"`
	Expires time.Time `json:"expires,omitzero"`  // the zero time if there is none yet
	Soon    bool      `json:"soon,omitempty"`    // it expires within 14 days, and that is not normal for it
	Source  string    `json:"source,omitempty"`  // "file", "acme", or "internal" for lb's own authority
	Pool    string    `json:"pool,omitempty"`    // to whose backends it is shown; "" for clients
	File    string    `json:"file,omitempty"`    // path
	Fault   string    `json:"fault,omitempty"`   // why there is none, or no newer one; "" if all is well
	FaultAt time.Time `json:"fault_at,omitzero"` // the zero time if it is not known
}

// Listener is where clients connect.
type Listener struct {
	Address string `json:"address"` // as served: host:port with the real port, or unix:/path
	Role    string `json:"role"`    // one of the Roles
}

// Listeners are in the order of the configuration. There is at least one.
type Listeners []Listener

// String returns the address of a single listener for HTTP, else each address with its
// role.
func (list Listeners) String() string {
	if len(list) == 1 && list[0].Role == RoleHTTP {
		return list[0].Address
	}
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = l.Address + " (" + l.Role + ")"
	}
	return strings.Join(texts, ", ")
}

// The roles of a listener.
const (
	RoleHTTP     = "http"
	RoleHTTPS    = "https"
	RoleRedirect = "redirect" // every request is answered with a 308 to https
)

// ConfigStatus describes the configuration in use, and why a newer one was refused.
type ConfigStatus struct {
	File     string    `json:"file,omitempty"` // "" if there is none
	Number   uint64    `json:"number"`         // counted from 1, over upgrades
	Loaded   time.Time `json:"loaded"`
	Watching bool      `json:"watching"`        // lb reloads when the file changes
	Fault    string    `json:"fault,omitempty"` // why the last reload was refused, in one or more lines; "" if it was not
	FaultAt  time.Time `json:"fault_at,omitzero"`
	// Store is where the configuration is, if that is no file.
	Store *ConfigStore `json:"store,omitempty"`
}

// ConfigStore is the state of a store that has the configuration, such as etcd.
type ConfigStore struct {
	Revision uint64    `json:"revision"`          // of the text in use; 0 if it is a copy
	Newest   uint64    `json:"newest,omitempty"`  // of the text that the store had last
	Answered time.Time `json:"answered,omitzero"` // the last answer
	FromDisk bool      `json:"from_disk"`         // the text in use is the copy on this machine
	Fault    string    `json:"fault,omitempty"`   // why the store does not give it now; "" if it does
	FaultAt  time.Time `json:"fault_at,omitzero"` // since when
}

// Totals are sums over all loops. Counters go on over crashes and upgrades.
type Totals struct {
	ClientConns    uint64    `json:"client_conns"`  // open
	BackendConns   uint64    `json:"backend_conns"` // open, idle ones included
	Exchanges      uint64    `json:"exchanges"`     // running
	Tunnels        uint64    `json:"tunnels"`       // upgraded, such as WebSockets
	Requests       uint64    `json:"requests"`
	HTTP2          HTTP2     `json:"http2"`
	Replies        [6]uint64 `json:"replies"` // by status class: [1] 1xx ... [5] 5xx; [0] is unused
	Retries        uint64    `json:"retries"`
	Panics         uint64    `json:"panics"`
	WorkerRestarts uint64    `json:"worker_restarts"`
	Reloads        uint64    `json:"reloads"`
	ReloadFaults   uint64    `json:"reload_faults"`
	Upgrades       uint64    `json:"upgrades"`
}

// HTTP2 is the part of Totals that goes by HTTP/2.
type HTTP2 struct {
	ClientConns  uint64 `json:"client_conns"`  // open
	BackendConns uint64 `json:"backend_conns"` // open
	Requests     uint64 `json:"requests"`
	Floods       uint64 `json:"floods"` // conns of clients that lb ended for a flood
}

// States of a loop.
const (
	LoopServing  = "serving"
	LoopStarting = "starting"
	LoopWaiting  = "waiting"  // it crashed and will be started again after a while
	LoopRetiring = "retiring" // it finishes its exchanges
)

// Loop is one event loop: a worker process, or a thread of this one.
type Loop struct {
	Slot      int       `json:"slot"` // on the board
	PID       int       `json:"pid"`
	State     string    `json:"state"`
	Since     time.Time `json:"since,omitzero"` // when it began
	Restarts  int       `json:"restarts"`
	Conns     uint64    `json:"conns"`     // open, of clients
	Exchanges uint64    `json:"exchanges"` // running
	Requests  uint64    `json:"requests"`  // of this slot, those of earlier loops included
}

// Pool is a pool with its backends, both in the order of the configuration.
type Pool struct {
	Name     string    `json:"name"`
	Strategy string    `json:"strategy"`
	FailOpen bool      `json:"fail_open,omitempty"` // so many backends are down that all are used as if they were up
	Backends []Backend `json:"backends"`
}

// The values of Backend.Admin.
const (
	Enabled  = "enabled"
	Drained  = "draining"
	Disabled = "disabled"
)

// Backend is one backend of a pool as all loops see it.
type Backend struct {
	Pool             string    `json:"pool"`
	Address          string    `json:"address"`           // ip:port, [v6]:port or unix:/path
	Name             string    `json:"name,omitempty"`    // under which the address was found
	Weight           int       `json:"weight"`            // in use
	ConfiguredWeight int       `json:"configured_weight"` // in the configuration
	Backup           bool      `json:"backup,omitempty"`
	MaxConnections   int       `json:"max_connections,omitempty"` // 0: unlimited
	Admin            string    `json:"admin"`                     // "draining" for drain = true of the configuration as well
	Runtime          bool      `json:"runtime"`                   // weight or admin was changed at run time and differs from the file
	Health           string    `json:"health"`                    // unknown (not checked), up or down
	HealthReason     string    `json:"health_reason,omitempty"`   // such as "no answer in time" or "status 503"
	Since            time.Time `json:"since,omitzero"`            // when health last changed
	Ejected          bool      `json:"ejected"`
	EjectedReason    string    `json:"ejected_reason,omitempty"`
	EjectedUntil     time.Time `json:"ejected_until,omitzero"`
	LeavingUntil     time.Time `json:"leaving_until,omitzero"` // it has asked for no new clients; until then it gets none
	LeavingReason    string    `json:"leaving_reason,omitempty"`
	InFlight         uint64    `json:"in_flight"`
	Attempts         uint64    `json:"attempts"`
	Requests         uint64    `json:"requests"` // that it answered
	Faults           uint64    `json:"faults"`   // failed attempts that were the backend's fault
	LastFault        string    `json:"last_fault,omitempty"`
	LastFaultAt      time.Time `json:"last_fault_at,omitzero"`
}
