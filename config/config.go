// Package config turns lb.toml and flags into one checked, immutable value. It
// opens no socket and resolves no name.
package config

import (
	"net/netip"
	"time"

	"lb/config/access"
	"lb/config/logging"
	"lb/config/tomlfile"
)

// Mode says what runs the loops: threads or processes.
type Mode string

const (
	MT Mode = "mt" // loops in one process
	MP Mode = "mp" // a supervisor and worker processes with one loop each
)

// Paths says which route takes a request whose path can be read in several ways, such as
// "//a", "/b/../a" or "/%61": as it came, in its normal form, and as a lenient server does.
type Paths string

const (
	PathsReject    Paths = "reject"    // none, if the readings choose different routes
	PathsNormalize Paths = "normalize" // the route for the normal form
	PathsRaw       Paths = "raw"       // the route for the path as it came
)

// Config is a whole configuration. Nothing changes it after it has been checked.
type Config struct {
	File           *tomlfile.File `json:"-"` // what Source held, for the places of its keys, or nil
	Flags          Flags          `json:"-"` // those that were applied
	Source         string         // path of the file it came from, or ""
	Host           string         // where to listen: a name, an IPv4 or an IPv6 address ("::" is both)
	Port           int            // 0: any free port
	Mode           Mode
	Workers        int            // 0: one for each CPU that this process may use
	Via            string         // lb's name in the Via field; "" sends no Via
	TrustedProxies []netip.Prefix // whose X-Forwarded-* are believed; IPv4 is never mapped into IPv6
	Forwarded      bool           // send RFC 7239's Forwarded beside X-Forwarded-*
	EarlyHints     bool           // pass on 103 (Early Hints)
	LogLevel       string         // debug, info, warn or error
	LogFormat      string         // logging.FormatAuto, FormatText or FormatJSON
	RequestID      string         // name of the field with the request id; "": none
	PIDFile        string         // "" for none
	Watch          bool           // reload when Source changes
	Paths          Paths          // how routes read a path that can be read in several ways
	AbortOnClose   bool           // a request ends with its client: see docs/configuration.md
	StickyKey      string         // signs sticky cookies, 16 bytes at least; "": random with each start
	Pools          []Pool         // Pools[0] is "default", from the top level of the file
	Routes         []Route        // in the order of the file; a request that matches none goes to Pools[0]
	Retry          Retry
	Admin          Admin
	Timeouts       Timeouts
	Limits         Limits
	RateLimits     []access.RateLimit // [[rate_limits]], in the order of the file
	Listeners      []Listener         // [[listeners]]; none: Host and Port are the one listener, see Listening
	TLS            TLS
	HTTP2          HTTP2
	AccessLog      logging.AccessLog
	Tracing        logging.Tracing
	Metrics        logging.Metrics
}

// Admin is where lb listens for its operator.
type Admin struct {
	Address string // host:port; "" for off
	Token   string // that changes over Address need; "": there are none
	Socket  string // path of the unix socket for commands; "": see SocketPath; SocketOff: none
}

// Timeouts are never unset. docs/design/architecture.md says what each waits for.
type Timeouts struct {
	ClientIdle, ClientHeader, ClientBody, ClientWrite         time.Duration
	Connect, BackendWrite, Response, BackendBody, BackendIdle time.Duration
	TunnelIdle, TunnelHalfClosed, Queue, Drain, Handshake     time.Duration
	DrainDelay                                                time.Duration // from a red /healthz to the closed door; 0: none
}

// Limits bound what one client can ask for.
type Limits struct {
	HeaderBytes int
	Fields      int
	TargetBytes int
	BodyBytes   int64 // 0: unlimited
	Connections int   // over all loops; 0: what the descriptor limit allows

	ConnectionsPerClient int // over all loops, by address, IPv6 by /64; 0: unlimited
}
