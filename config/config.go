// Package config turns lb.toml and flags into one checked, immutable value. It
// opens no socket and resolves no name.
package config

import (
	"net/netip"
	"time"
)

// Mode says who runs the loops.
type Mode string

const (
	MT Mode = "mt" // loops in one process
	MP Mode = "mp" // a supervisor and worker processes with one loop each
)

// Config is a whole configuration. It is not changed once it is checked.
type Config struct {
	Source         string // the file it came from, "" for none
	Host           string
	Port           int
	Mode           Mode
	Workers        int // 0: one per CPU this process may use
	Strategy       string
	Via            string         // pseudonym in Via; "" for no Via
	TrustedProxies []netip.Prefix // whose X-Forwarded-* are believed
	LogLevel       string
	PIDFile        string
	Pools          []Pool // Pools[0] is "default", from the top-level backends
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
