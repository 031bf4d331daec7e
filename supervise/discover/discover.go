// Package discover finds the members of pools: it follows the names by which backends are
// given, and the sources of pools, and keeps what they said last. It does not know what is
// at the addresses, nor what becomes of them.
//
// A Hub merges three things into one list for each pool: the backends of the file, those
// that the pool's source reports, and, in the place of each that is given by a name, one
// backend for every address of the name. Loss of news is not news: an error, silence and
// NXDOMAIN keep what is known, an empty answer counts when a second one follows ten
// seconds later, and what is known is on disk for the next start.
package discover

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"lb/config"
)

// Resolver finds the addresses of a name; *net.Resolver is one. Several goroutines call
// it at once.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Timeout is how long a lookup for a listener may take.
const Timeout = 3 * time.Second

// Source reports the backends that it has for one pool, until ctx is done. It retries by
// itself, with back-off and jitter. A list is complete, and its backends may have names.
// An empty list has to be read again after EmptyAfter before it is reported again, because
// only the second one counts. An error keeps what is known.
type Source interface {
	Run(ctx context.Context, report func(backends []config.Backend, err error))
}

// Asker is a Source that can be asked at once.
type Asker interface{ Ask() }

// Namer asks for addresses. Several goroutines call it at once.
type Namer interface {
	Addrs(ctx context.Context, q Query) (Answer, error)
}

// Query asks for the addresses of a name in one family.
type Query struct {
	Resolver string // host:port of the name server; "": the system's way
	Name     string
	IPv6     bool
	Known    int // rank of the answer in use, or -1
}

// Answer is an answer to a Query that is no error.
type Answer struct {
	Addrs   []netip.Addr // none: the name exists without any of the family
	TTL     time.Duration
	Rank    int  // which of the names that are tried for a short one it is; the lowest holds
	Partial bool // there are more
}

// ErrNoName is the error of a name that does not exist.
var ErrNoName = errors.New("there is no such name")

// EmptyAfter is the least time between two empty answers of which the second counts.
const EmptyAfter = 10 * time.Second

// Options are what a Hub needs.
type Options struct {
	Log   *slog.Logger
	Cache string // file that keeps what is known for the next start; "": none
	Namer Namer
	// Routed reports whether this machine has a way to an address; nil: to all. It is asked
	// for names with addresses of both families.
	Routed func(netip.Addr) bool
	// Make returns the source of a pool with Discover. The hub itself does dns://.
	Make func(pool config.Pool) (Source, error)
	// Changed is called some time after a change, see Hold, from one goroutine. It has to
	// return when cancelled is closed.
	Changed func(cancelled <-chan struct{})

	Hold  time.Duration // in which changes are collected; 0: 200 ms
	Empty time.Duration // 0: EmptyAfter
}

// NamerOf returns a Namer that asks r, and holds every answer for ttl.
func NamerOf(r Resolver, ttl time.Duration) Namer { return &resolverNamer{r, ttl} }

type resolverNamer struct {
	resolver Resolver
	ttl      time.Duration
}

// Addrs implements Namer.
func (r *resolverNamer) Addrs(ctx context.Context, q Query) (Answer, error) {
	network, is := "ip4", netip.Addr.Is4
	if q.IPv6 {
		network, is = "ip6", netip.Addr.Is6
	}
	limited, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	all, err := r.resolver.LookupNetIP(limited, network, q.Name)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return Answer{}, ErrNoName
	case err != nil:
		return Answer{}, err
	}
	a := Answer{TTL: r.ttl}
	for _, ip := range all {
		if ip = ip.Unmap(); is(ip) {
			a.Addrs = append(a.Addrs, ip)
		}
	}
	return a, nil
}
