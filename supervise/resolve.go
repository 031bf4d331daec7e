package supervise

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lb/config"
	"lb/loop"
)

// Resolver finds the addresses of a name; *net.Resolver is one. It is called by
// several goroutines at once.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	lookupTimeout = 3 * time.Second // for one pass over all names
	lookupsMax    = 16              // at once
	resolveEvery  = 30 * time.Second
	// unresolvedEvery is the same while some name has no address yet: lb is often
	// started together with its backends.
	unresolvedEvery = 2 * time.Second
)

// place is a backend of a configuration, by index.
type place struct{ Pool, Backend int }

// addrBook is where the backends are. After newAddrBook only one goroutine may
// use it.
type addrBook struct {
	pools    []config.Pool
	resolver Resolver
	log      *slog.Logger
	names    map[string][]place // backends given by a name, by that name
	failed   map[string]bool    // names whose last lookup failed
	addrs    [][][]loop.Addr
}

// newAddrBook returns a book in which backends given by a name have no address yet.
func newAddrBook(pools []config.Pool, resolver Resolver, log *slog.Logger) *addrBook {
	b := &addrBook{
		pools:    pools,
		resolver: resolver,
		log:      log,
		names:    map[string][]place{},
		failed:   map[string]bool{},
	}
	for i, p := range pools {
		list := make([][]loop.Addr, len(p.Backends))
		for j, be := range p.Backends {
			if be.Socket != "" {
				list[j] = []loop.Addr{{Path: be.Socket}}
			} else if ip, err := netip.ParseAddr(be.Host); err == nil {
				list[j] = []loop.Addr{{IP: netip.AddrPortFrom(ip.Unmap(), uint16(be.Port))}}
			} else {
				b.names[be.Host] = append(b.names[be.Host], place{i, j})
			}
		}
		b.addrs = append(b.addrs, list)
	}
	return b
}

// refresh looks every name up and calls changed for each backend whose addresses
// are not the same set as before. A name that cannot be resolved keeps what it
// had. It takes lookupTimeout at most.
func (b *addrBook) refresh(ctx context.Context, changed func(at place, addrs []loop.Addr)) {
	for name, ips := range b.lookup(ctx) {
		for _, at := range b.names[name] {
			addrs := withPort(ips, b.pools[at.Pool].Backends[at.Backend].Port)
			if !sameSet(addrs, b.addrs[at.Pool][at.Backend]) {
				b.addrs[at.Pool][at.Backend] = addrs
				changed(at, addrs)
			}
		}
	}
}

// lookup returns the addresses of the names that have some, and notes and logs
// which names have not.
func (b *addrBook) lookup(ctx context.Context) map[string][]netip.Addr {
	limited, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var mu sync.Mutex
	found := map[string][]netip.Addr{}
	faults := map[string]error{}
	var all sync.WaitGroup
	tickets := make(chan struct{}, lookupsMax)
	for name := range b.names {
		tickets <- struct{}{}
		all.Go(func() {
			ips, err := b.resolver.LookupNetIP(limited, "ip", name)
			mu.Lock()
			if err == nil && len(ips) > 0 {
				found[name] = ips
			} else {
				faults[name] = err
			}
			mu.Unlock()
			<-tickets
		})
	}
	all.Wait()
	if ctx.Err() == nil {
		b.note(found, faults)
	}
	return found
}

// note logs the names that could be resolved before and now cannot, and the
// other way round.
func (b *addrBook) note(found map[string][]netip.Addr, faults map[string]error) {
	for name, err := range faults {
		if !b.failed[name] {
			b.failed[name] = true
			b.log.Warn("name does not resolve", "name", name, "cause", err)
		}
	}
	for name := range found {
		if b.failed[name] {
			delete(b.failed, name)
			b.log.Info("name resolves again", "name", name)
		}
	}
}

// watch refreshes the book until ctx is done.
func (b *addrBook) watch(ctx context.Context, every time.Duration, changed func(place, []loop.Addr)) {
	if len(b.names) == 0 {
		return
	}
	for {
		wait := time.NewTimer(b.interval(every))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		b.refresh(ctx, changed)
	}
}

func (b *addrBook) interval(every time.Duration) time.Duration {
	for _, places := range b.names {
		if at := places[0]; len(b.addrs[at.Pool][at.Backend]) == 0 {
			return min(every, unresolvedEvery)
		}
	}
	return every
}

// snapshot returns what is known now; nobody changes it afterwards.
func (b *addrBook) snapshot() [][][]loop.Addr {
	pools := make([][][]loop.Addr, len(b.addrs))
	for i, p := range b.addrs {
		pools[i] = slices.Clone(p)
	}
	return pools
}

func withPort(ips []netip.Addr, port int) []loop.Addr {
	addrs := make([]loop.Addr, len(ips))
	for i, ip := range ips {
		addrs[i].IP = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	return addrs
}

// sameSet compares without regard to order: name servers rotate their answers.
func sameSet(a, b []loop.Addr) bool {
	contains := func(list []loop.Addr) func(loop.Addr) bool {
		return func(x loop.Addr) bool { return !slices.Contains(list, x) }
	}
	return !slices.ContainsFunc(a, contains(b)) && !slices.ContainsFunc(b, contains(a))
}
