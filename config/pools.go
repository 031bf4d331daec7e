package config

import (
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"lb/config/health"
	"lb/config/value"
)

// The strategies are the ways in which a pool chooses a backend. All respect
// weight, backup, drain, max_connections and health.
const (
	RoundRobin = "round_robin" // in turn, evenly spread
	Random     = "random"
	LeastConn  = "least_conn" // fewest exchanges in flight over all loops
	P2C        = "p2c"        // the less loaded of two that are drawn at random
	LeastTime  = "least_time" // least moving average of the time to the first byte, times (in flight + 1)
	HashOnKey  = "hash"       // the same backend for the same key
)

// Strategies returns all of them, in the order in which users read them.
func Strategies() []string {
	return []string{RoundRobin, Random, LeastConn, P2C, LeastTime, HashOnKey}
}

func checkStrategy(s string) *value.Flaw { return value.OneOf(s, "strategy", Strategies()...) }

// Reuse says which request may go over a conn to a backend that carried another one.
const (
	ReuseAlways = "always" // any
	ReuseSafe   = "safe"   // any, but the first request of a client only after the conn has rested
	ReuseNever  = "never"  // none
)

func checkReuse(s string) *value.Flaw {
	return value.OneOf(s, "reuse", ReuseSafe, ReuseAlways, ReuseNever)
}

// Versions of the PROXY header that each conn to a backend begins with.
const (
	SendProxyOff = "off"
	SendProxyV1  = "v1"
	SendProxyV2  = "v2"
)

// DefaultPool is the name of Pools[0], which no [[pools]] may have.
const DefaultPool = "default"

// Pool is a named group of backends. The keys of Pools[0] are at the top level of
// the file; the other pools begin with the values of NewPool.
type Pool struct {
	Name      string
	Strategy  string
	Hash      Hash          // for HashOnKey
	Sticky    string        // name of the cookie that keeps a client at its backend; "" for none
	Reuse     string        // ReuseAlways, ReuseSafe or ReuseNever
	Protocol  string        // ProtocolHTTP1, ProtocolH2, ProtocolH2C or ProtocolAuto
	SendProxy string        // SendProxyOff, SendProxyV1 or SendProxyV2
	SlowStart time.Duration // how long a recovered or added backend takes to reach its weight; 0: none
	Health    Health
	Eject     Eject
	TLS       BackendTLS // for those of Backends with TLS
	// IdleMax is how many conns to one backend are kept idle, over all loops; 0: unlimited,
	// -1: none.
	IdleMax     int
	DrainHeader string // name of the field of a response by which a backend asks to be drained; "": none
	Discover    string // URL of a source of more backends, see package discovery; "": none
	Resolver    string // address and port of the name server; "": those of the system
	// ResolveMin and ResolveMax bound how long an answer to a name is believed.
	ResolveMin, ResolveMax time.Duration
	Backends               []Backend // Pools[0] has none if neither the file nor a flag names one
}

// Same reports whether p and other have the same settings and the same backends.
func (p *Pool) Same(other *Pool) bool {
	a, b := *p, *other
	a.Backends, b.Backends = nil, nil
	return slices.Equal(p.Backends, other.Backends) && reflect.DeepEqual(a, b)
}

// Backend is one server to forward to, at Socket, or at Host and Port.
type Backend struct {
	Host           string // a name or an IP address without brackets
	Port           int
	Socket         string // path of a unix socket
	Weight         int    // 1 to 65535
	Backup         bool   // used only while no other backend of the pool can be
	Drain          bool   // no new clients; exchanges and sticky clients go on
	MaxConnections int    // exchanges in flight over all loops; 0: unlimited
	IdleMax        int    // as that of the pool; 0: that of the pool
	TLS            bool   // lb speaks TLS to it, by the TLS of its pool

	// Name is the host name under which Host, an address, was found; "" for a backend as it
	// stands in the file.
	Name string `json:",omitempty"`
}

// String returns host:port, [v6]:port or unix:/path, the form of -b.
func (b Backend) String() string {
	if b.Socket != "" {
		return "unix:" + b.Socket
	}
	return net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
}

// HostField returns the value of Host in a request that lb itself begins, or that has no
// other. A unix socket has no name of its own.
func (b Backend) HostField() string {
	switch {
	case b.Socket != "":
		return "localhost"
	case b.Name != "":
		return net.JoinHostPort(b.Name, strconv.Itoa(b.Port))
	}
	return b.String()
}

// Addr returns where b is. It is not valid for a unix socket, and for a name.
func (b Backend) Addr() netip.AddrPort {
	ip, _ := netip.ParseAddr(b.Host)
	return netip.AddrPortFrom(ip.Unmap(), uint16(b.Port))
}

// What a pool can hash. A header and a cookie have a name; for a request without it
// the client's address is hashed.
const (
	KeyClientIP = "client_ip"
	KeyPath     = "path" // without the query
	KeyHeader   = "header"
	KeyCookie   = "cookie"
)

// Hash are the settings of HashOnKey.
type Hash struct {
	Key           string  // KeyClientIP, KeyPath, KeyHeader or KeyCookie
	Name          string  // of the header, in lower case, or of the cookie; else ""
	BalanceFactor float64 // most that a backend may have in flight, as a multiple of the average, above 1; 0: no bound
}

// The settings about backends that fail.
type (
	Health   = health.Health
	Statuses = health.Statuses
	Eject    = health.Eject
	Retry    = health.Retry
	RetryOn  = health.RetryOn
)

// Kinds of active checks.
const (
	CheckHTTP = health.CheckHTTP
	CheckTCP  = health.CheckTCP
	CheckGRPC = health.CheckGRPC
)

// NewHealth returns checks with all defaults. Checks are off unless the file has a
// [health] table.
func NewHealth() Health { return health.New() }

// NewPool returns a pool with all defaults and without a backend.
func NewPool(name string) Pool {
	return Pool{
		Name:     name,
		Strategy: RoundRobin,
		Hash:     Hash{Key: KeyClientIP},
		Reuse:    ReuseSafe,
		Protocol: ProtocolHTTP1,

		SendProxy:  SendProxyOff,
		ResolveMin: time.Second,
		ResolveMax: 30 * time.Second,
		Eject: Eject{
			Enabled:    true,
			Faults:     3,
			Time:       10 * time.Second,
			TimeMax:    5 * time.Minute,
			MaxPercent: 50,

			Window:      10 * time.Second,
			RequestsMin: 20,
		},
	}
}
