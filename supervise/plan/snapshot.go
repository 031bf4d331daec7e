// Package plan is a configuration as loops go by it: with a number, the IDs of its
// backends on the board and their addresses, and the seat of each loop. It knows
// neither loops nor processes, and nothing of how a plan reaches them.
package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"lb/config"
	"lb/internal/tlsconf"
)

// Snapshot is one configuration as all loops get it. It does not change once it
// is made.
type Snapshot struct {
	Config *config.Config
	Number uint64     // of the configuration; counts from 1, over reloads and upgrades
	IDs    [][]int    // on the board, by pool and backend
	Addrs  [][][]Addr // by pool and backend; empty for a name that has no address yet
	// Series on the board, by pool, and with metrics.per_backend by pool and backend; -1 for
	// none.
	Series        []int   `json:",omitempty"`
	BackendSeries [][]int `json:",omitempty"`
	// Secrets are what the loops need for TLS, or nil if the configuration has no TLS.
	Secrets *tlsconf.Secrets `json:",omitempty"`
	// LogLevel is the level that was set at run time, or "" for that of Config.
	LogLevel string `json:",omitempty"`
}

// Addr is where a backend is: an IP address and port, or the path of a unix socket.
type Addr struct {
	IP   netip.AddrPort
	Path string // of a unix socket, for which IP is not used; "" for IP
}

// WithAddrs returns a copy of s in which the backend with this board ID has other
// addresses. The copy has the same number: no loop has to acknowledge it.
func (s *Snapshot) WithAddrs(id int, addrs []Addr) *Snapshot {
	next := *s
	next.Addrs = slices.Clone(s.Addrs)
	for i, ids := range s.IDs {
		if j := slices.Index(ids, id); j >= 0 {
			next.Addrs[i] = slices.Clone(s.Addrs[i])
			next.Addrs[i][j] = addrs
		}
	}
	return &next
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

// Addrs returns the addresses of every backend of cfg, by pool and backend. known
// returns the addresses of a name. The result must not be changed.
func Addrs(cfg *config.Config, known func(name string) []netip.Addr) [][][]Addr {
	pools := make([][][]Addr, len(cfg.Pools))
	for i, p := range cfg.Pools {
		pools[i] = make([][]Addr, len(p.Backends))
		for j, b := range p.Backends {
			pools[i][j] = addrsOf(b, known)
		}
	}
	return pools
}

func addrsOf(b config.Backend, known func(name string) []netip.Addr) []Addr {
	if b.Socket != "" {
		return []Addr{{Path: b.Socket}}
	}
	if ip, err := netip.ParseAddr(b.Host); err == nil {
		return withPort([]netip.Addr{ip}, b.Port)
	}
	return withPort(known(b.Host), b.Port)
}

func withPort(ips []netip.Addr, port int) []Addr {
	if len(ips) == 0 {
		return nil
	}
	addrs := make([]Addr, len(ips))
	for i, ip := range ips {
		addrs[i].IP = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	return addrs
}

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
