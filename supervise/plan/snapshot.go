// Package plan is a configuration as loops go by it: with a number, the IDs of its
// backends on the board, how its members change, and the seat of each loop. It knows
// neither loops nor processes, and nothing of how a plan reaches them.
package plan

import (
	"cmp"
	"slices"

	"lb/config"
	"lb/internal/tlsconf"
)

// Snapshot is one configuration as all loops get it. It does not change once it
// is made.
type Snapshot struct {
	// Config is the effective configuration: the file's, with the backends that names and
	// sources have added. Each of them is an address.
	Config *config.Config
	Base   *config.Config `json:"-"` // the file's; nil in a worker
	Number uint64         // of the configuration; counts from 1, over reloads, changes of members and upgrades
	IDs    [][]int        // on the board, by pool and backend
	// Awaits says that the file or a source gives the default pool backends, of which no
	// address may be known yet. Without backends it would be no pool at all.
	Awaits bool `json:",omitempty"`
	// Series on the board, by pool, and with metrics.per_backend by pool and backend; -1 for
	// none.
	Series        []int   `json:",omitempty"`
	BackendSeries [][]int `json:",omitempty"`
	// Secrets are what the loops need for TLS, or nil if the configuration has no TLS.
	Secrets *tlsconf.Secrets `json:",omitempty"`
	// LogLevel is the level that was set at run time, or "" for that of Config.
	LogLevel string `json:",omitempty"`
}

// WithSecrets returns a copy of s with other secrets. The copy has the same number.
func (s *Snapshot) WithSecrets(secrets *tlsconf.Secrets) *Snapshot {
	next := *s
	next.Secrets = secrets
	return &next
}

// WithLogLevel returns a copy of s with another level. The copy has the same number.
func (s *Snapshot) WithLogLevel(level string) *Snapshot {
	next := *s
	next.LogLevel = level
	return &next
}

// Level returns the level of the log.
func (s *Snapshot) Level() string { return cmp.Or(s.LogLevel, s.Config.LogLevel) }

// Seat is one loop's part of the whole: its place among the loops in use, and the
// snapshot and the sockets that it serves.
type Seat struct {
	Snapshot *Snapshot
	Place    int      // of the loop among those in use, from 0
	Loops    int      // how many are in use
	Slots    []int    // on the board, of all loops in use
	Sockets  []uint64 // numbers of the listening sockets; only sockets that are new to the loop come with it
	// Listeners are the addresses of the listeners of Sockets, as configured. Older
	// supervisors send none.
	Listeners []string `json:",omitempty"`
}

// Listener returns the address of the listener of Sockets[i].
func (s Seat) Listener(i int) string {
	if i < len(s.Listeners) {
		return s.Listeners[i]
	}
	return s.Snapshot.Config.Listening()[0].Address
}

// Equal reports whether a loop that has s need not be given other.
func (s Seat) Equal(other Seat) bool {
	return s.Snapshot == other.Snapshot && s.Place == other.Place && s.Loops == other.Loops &&
		slices.Equal(s.Slots, other.Slots) && slices.Equal(s.Sockets, other.Sockets) &&
		slices.Equal(s.Listeners, other.Listeners)
}
