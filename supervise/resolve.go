package supervise

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lb/config"
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

// namesOf returns the names that backends of cfg are given by, each once.
func namesOf(cfg *config.Config) []string {
	names := map[string]bool{}
	for _, p := range cfg.Pools {
		for _, b := range p.Backends {
			if isName(b) {
				names[b.Host] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func isName(b config.Backend) bool {
	if b.Socket != "" {
		return false
	}
	_, err := netip.ParseAddr(b.Host)
	return err != nil
}

// findings are what one pass over names has brought.
type findings struct {
	found  map[string][]netip.Addr // never empty lists
	faults map[string]error
}

// lookUp looks every name up and takes timeout at most. When ctx is done before,
// names may be missing from what it returns.
func lookUp(ctx context.Context, resolver Resolver, names []string, timeout time.Duration) findings {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	f := findings{map[string][]netip.Addr{}, map[string]error{}}
	var all sync.WaitGroup
	tickets := make(chan struct{}, lookupsMax)
	for _, name := range names {
		tickets <- struct{}{}
		all.Go(func() {
			ips, err := resolver.LookupNetIP(limited, "ip", name)
			mu.Lock()
			switch {
			case err == nil && len(ips) > 0:
				f.found[name] = ips
			case ctx.Err() == nil: // else it is our doing
				f.faults[name] = err
			}
			mu.Unlock()
			<-tickets
		})
	}
	all.Wait()
	return f
}

// addrBook is where the names are. It belongs to the desk.
type addrBook struct {
	log    *slog.Logger
	known  map[string][]netip.Addr // what a name had when it was last found
	failed map[string]bool         // names whose last lookup failed
}

func newAddrBook(log *slog.Logger) *addrBook {
	return &addrBook{log: log, known: map[string][]netip.Addr{}, failed: map[string]bool{}}
}

// note takes up findings and returns the names whose addresses are not the same
// set as before. A name that cannot be found keeps what it had. The log is told
// of names that could be found before and now cannot, and the other way round.
func (b *addrBook) note(f findings) (changed []string) {
	for _, name := range slices.Sorted(maps.Keys(f.faults)) {
		if !b.failed[name] {
			b.failed[name] = true
			b.log.Warn("name does not resolve", "name", name, "cause", f.faults[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.found)) {
		if b.failed[name] {
			delete(b.failed, name)
			b.log.Info("name resolves again", "name", name)
		}
		if !sameSet(f.found[name], b.known[name]) {
			b.known[name] = f.found[name]
			changed = append(changed, name)
		}
	}
	return changed
}

// of returns the addresses that a name had when it was last found, or nil if it
// never was.
func (b *addrBook) of(name string) []netip.Addr { return b.known[name] }

// without returns those of names that have no address.
func (b *addrBook) without(names []string) (none []string) {
	for _, name := range names {
		if len(b.known[name]) == 0 {
			none = append(none, name)
		}
	}
	return none
}

// forget drops all names but these.
func (b *addrBook) forget(but []string) {
	for name := range b.known {
		if !slices.Contains(but, name) {
			delete(b.known, name)
		}
	}
	for name := range b.failed {
		if !slices.Contains(but, name) {
			delete(b.failed, name)
		}
	}
}

// sameSet compares without regard to order: name servers rotate their answers.
func sameSet(a, b []netip.Addr) bool {
	contains := func(list []netip.Addr) func(netip.Addr) bool {
		return func(x netip.Addr) bool { return !slices.Contains(list, x) }
	}
	return !slices.ContainsFunc(a, contains(b)) && !slices.ContainsFunc(b, contains(a))
}

// lookups looks names up again and again, beside the desk.
type lookups struct {
	resolver Resolver
	every    time.Duration
	news     func(cancelled <-chan struct{}, f findings) // brings what was found to the desk
	cancel   context.CancelFunc
	wake     chan struct{} // the names are others
	ended    chan struct{}

	mu      sync.Mutex // guards what follows
	names   []string
	missing bool // some have no address
}

// startLookups begins when set is called. every is 0 for what is usual.
func startLookups(resolver Resolver, every time.Duration, news func(<-chan struct{}, findings)) *lookups {
	if every == 0 {
		every = resolveEvery
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &lookups{
		resolver: resolver,
		every:    every,
		news:     news,
		cancel:   cancel,
		wake:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
	}
	go l.run(ctx)
	return l
}

// set says which names are to be looked up from now on, and whether some of them
// have no address.
func (l *lookups) set(names []string, missing bool) {
	l.mu.Lock()
	same := slices.Equal(names, l.names) && missing == l.missing
	l.names, l.missing = names, missing
	l.mu.Unlock()
	if !same {
		select {
		case l.wake <- struct{}{}:
		default: // it has a value, which says the same
		}
	}
}

// wants returns what to look up, and after which time; nothing: wait for others.
func (l *lookups) wants() (names []string, every time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missing {
		return l.names, min(l.every, unresolvedEvery)
	}
	return l.names, l.every
}

func (l *lookups) run(ctx context.Context) {
	defer close(l.ended)
	for {
		names, every := l.wants()
		var due <-chan time.Time // never, if there is none
		if len(names) > 0 {
			due = time.After(every)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			continue
		case <-due:
		}
		f := lookUp(ctx, l.resolver, names, lookupTimeout)
		if ctx.Err() != nil {
			return
		}
		l.news(ctx.Done(), f)
	}
}

func (l *lookups) close() {
	l.cancel()
	<-l.ended
}
