// Package config turns lb.toml and flags into one checked, immutable value. It
// opens no socket and resolves no name.
package config

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Mode says who runs the loops.
type Mode string

const (
	MT Mode = "mt" // loops in one process
	MP Mode = "mp" // a supervisor and worker processes with one loop each
)

// RoundRobin is the strategy that deals requests out in turn, by weight.
const RoundRobin = "round_robin"

// Config is a whole configuration. It is not changed once it is checked.
type Config struct {
	Source         string // the file it came from, "" for none
	Host           string // where to listen: a name, an IPv4 or an IPv6 address ("::" is both)
	Port           int    // 0: any free port
	Mode           Mode
	Workers        int // 0: one per CPU this process may use
	Strategy       string
	Via            string         // pseudonym in Via; "" for no Via
	TrustedProxies []netip.Prefix // whose X-Forwarded-* are believed; IPv4 is never mapped into IPv6
	LogLevel       string         // debug, info, warn or error
	PIDFile        string         // "" for none
	Pools          []Pool         // Pools[0] is "default", from the top-level backends
	Admin          Admin
	Timeouts       Timeouts
	Limits         Limits
}

// Pool is a named group of backends.
type Pool struct {
	Name     string
	Strategy string
	Backends []Backend
}

// Backend is one place to forward to: Socket, or Host and Port.
type Backend struct {
	Host   string // a name or an IP address without brackets
	Port   int
	Socket string // path of a unix socket
	Weight int    // 1 to 65535
}

// String returns host:port, [v6]:port or unix:/path, as -b takes it.
func (b Backend) String() string {
	if b.Socket != "" {
		return "unix:" + b.Socket
	}
	return net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
}

// Admin is where an operator looks.
type Admin struct {
	Address string // host:port; "" for off
}

// Timeouts: none is ever unset. DESIGN.md has the table of what each waits for.
type Timeouts struct {
	ClientIdle, ClientHeader, ClientBody, ClientWrite         time.Duration
	Connect, BackendWrite, Response, BackendBody, BackendIdle time.Duration
	TunnelIdle, Queue, Drain                                  time.Duration
}

// Limits bound what one client can ask for.
type Limits struct {
	HeaderBytes int
	Fields      int
	TargetBytes int
	BodyBytes   int64 // 0: unlimited
	Connections int   // over all loops; 0: what the descriptor limit allows
}

// Default returns what lb does without a file and without flags.
func Default() *Config {
	return &Config{
		Host:     "0.0.0.0",
		Port:     8080,
		Mode:     MP,
		Strategy: RoundRobin,
		Via:      "lb",
		LogLevel: "info",
		Pools: []Pool{{
			Name:     "default",
			Strategy: RoundRobin,
			Backends: []Backend{
				{Host: "127.0.0.1", Port: 9001, Weight: 1},
				{Host: "127.0.0.1", Port: 9002, Weight: 1},
			},
		}},
		Admin: Admin{Address: "127.0.0.1:9090"},
		Timeouts: Timeouts{
			ClientIdle:   60 * time.Second,
			ClientHeader: 10 * time.Second,
			ClientBody:   30 * time.Second,
			ClientWrite:  30 * time.Second,
			Connect:      3 * time.Second,
			BackendWrite: 30 * time.Second,
			Response:     60 * time.Second,
			BackendBody:  60 * time.Second,
			BackendIdle:  60 * time.Second,
			TunnelIdle:   time.Hour,
			Queue:        5 * time.Second,
			Drain:        30 * time.Second,
		},
		Limits: Limits{
			HeaderBytes: 64 << 10,
			Fields:      128,
			TargetBytes: 16 << 10,
		},
	}
}
