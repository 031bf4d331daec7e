package config

import (
	"net"
	"strconv"
	"time"
)

// The strategies: how a pool chooses a backend. All respect weight, backup,
// drain, max_connections and health.
const (
	RoundRobin = "round_robin" // in turn, evenly spread
	Random     = "random"
	LeastConn  = "least_conn" // fewest exchanges in flight over all loops
	P2C        = "p2c"        // the less loaded of two drawn at random
	LeastTime  = "least_time" // moving average of the time to first byte, times in flight + 1
	HashOnKey  = "hash"       // the same backend for the same key
)

// DefaultPool is the name of Pools[0]. No [[pools]] may have it.
const DefaultPool = "default"

// Pool is a named group of backends. Pools[0] is set at the top level of the
// file; the others take nothing from there, but begin as NewPool has it.
type Pool struct {
	Name      string
	Strategy  string
	Hash      Hash          // for HashOnKey
	Sticky    string        // name of the cookie that keeps a client at its backend; "" for none
	SlowStart time.Duration // in which a recovered or added backend reaches its weight; 0: at once
	Health    Health
	Eject     Eject
	Backends  []Backend // Pools[0] has none if the file has [[pools]] and no [[backends]]
}

// Backend is one place to forward to: Socket, or Host and Port.
type Backend struct {
	Host           string // a name or an IP address without brackets
	Port           int
	Socket         string // path of a unix socket
	Weight         int    // 1 to 65535
	Backup         bool   // used only while no other of the pool can be
	Drain          bool   // gets nothing new; what runs, and what is sticky, goes on
	MaxConnections int    // exchanges in flight over all loops; 0: unlimited
}

// String returns host:port, [v6]:port or unix:/path, as -b takes it.
func (b Backend) String() string {
	if b.Socket != "" {
		return "unix:" + b.Socket
	}
	return net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
}

// What a pool hashes. Header and cookie have a name; a request without it
// falls back to the client's address.
const (
	KeyClientIP = "client_ip"
	KeyPath     = "path" // without the query
	KeyHeader   = "header"
	KeyCookie   = "cookie"
)

// Hash says what HashOnKey goes by.
type Hash struct {
	Key           string  // KeyClientIP, KeyPath, KeyHeader or KeyCookie
	Name          string  // of the header, in lower case, or of the cookie; else ""
	BalanceFactor float64 // bound of a backend's share of what is in flight, times the average; > 1, 0: none
}

// Kinds of active checks.
const (
	CheckHTTP = "http" // a request, and a status that is expected
	CheckTCP  = "tcp"  // a connection, and nothing more
)

// Health is the active checking of a pool's backends.
type Health struct {
	Type         string        // CheckHTTP or CheckTCP; "": no checks, and the rest means nothing
	Path         string        // with a query or without
	Host         string        // the Host field; "": the backend's name
	Method       string        // GET or HEAD
	Interval     time.Duration // between probes of a backend that is up
	IntervalDown time.Duration // and of one that is down
	Timeout      time.Duration // of a whole probe
	Rise         int           // good probes in a row that bring it up
	Fall         int           // bad ones that bring it down
	Expect       []Statuses    // what makes a probe good
}

// Statuses is a range of status codes, both ends included.
type Statuses struct{ Low, High int }

// Eject is the passive checking: faults of exchanges take a backend out for a while.
type Eject struct {
	Enabled    bool
	Faults     int           // in a row that eject
	Time       time.Duration // for the first ejection; n times that for the n-th
	TimeMax    time.Duration
	MaxPercent int   // of the pool's backends out at once; never the last one
	OnStatus   []int // of 502, 503 and 504: those that count as faults
}

// Retry says when an exchange is tried again. What was answered never is.
type Retry struct {
	Attempts  int // after the first; 0: none
	On        RetryOn
	Budget    float64 // share of the exchanges that may be retried: 0.2 is 20 %
	BudgetMin int     // retries that are allowed whatever the share
}

// RetryOn is the set of faults that are retried. All but Connect and Stale only
// for idempotent methods.
type RetryOn struct {
	Connect                         bool // no connection came about
	Stale                           bool // a reused connection had been closed
	Reset                           bool // closed or reset before an answer
	Status502, Status503, Status504 bool // answers of the backend
}

// NewPool returns a pool with every default, and no backend.
func NewPool(name string) Pool {
	return Pool{
		Name:     name,
		Strategy: RoundRobin,
		Hash:     Hash{Key: KeyClientIP},
		Eject: Eject{
			Enabled:    true,
			Faults:     3,
			Time:       10 * time.Second,
			TimeMax:    5 * time.Minute,
			MaxPercent: 50,
		},
	}
}

// NewHealth returns checks with every default. They are off unless the file
// has a [health] table.
func NewHealth() Health {
	return Health{
		Type:         CheckHTTP,
		Path:         "/",
		Method:       "GET",
		Interval:     5 * time.Second,
		IntervalDown: time.Second,
		Timeout:      2 * time.Second,
		Rise:         2,
		Fall:         3,
		Expect:       []Statuses{{200, 399}},
	}
}
