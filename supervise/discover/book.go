package discover

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

const (
	lookupsMax   = 16 // at once
	resolveEvery = 30 * time.Second
	// unresolvedEvery is the same while some name has no address yet: lb is often
	// started together with its backends.
	unresolvedEvery = 2 * time.Second
)

// Names returns the names by which cfg gives backends, sorted, each once.
func Names(cfg *config.Config) []string {
	names := map[string]bool{}
	for _, p := range cfg.Pools {
		for _, b := range p.Backends {
			if IsName(b) {
				names[b.Host] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Findings are the results of one pass over names.
type Findings struct {
	found  map[string][]netip.Addr // never empty lists
	faults map[string]error
}

// LookUp looks every name up, in timeout at most. If ctx is done before that, names may
// be missing from the result.
func LookUp(ctx context.Context, resolver Resolver, names []string, timeout time.Duration) Findings {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	f := Findings{map[string][]netip.Addr{}, map[string]error{}}
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

// Book keeps the addresses of names. It belongs to one goroutine.
type Book struct {
	log    *slog.Logger
	known  map[string][]netip.Addr // what a name had when it was last found
	failed map[string]bool         // names whose last lookup failed
}

// NewBook returns a Book without names, which logs to log.
func NewBook(log *slog.Logger) *Book {
	return &Book{log: log, known: map[string][]netip.Addr{}, failed: map[string]bool{}}
}

// Note enters findings and returns the names whose addresses are another set than
// before. A name that is not found keeps its addresses. The log gets a line when a name
// ceases to resolve, and when it resolves again.
func (b *Book) Note(f Findings) (changed []string) {
	for _, name := range slices.Sorted(maps.Keys(f.faults)) {
		if !b.failed[name] {
			b.failed[name] = true
			b.log.Warn("name does not resolve", "name", name, "cause", f.faults[name],
				"mend", "see /etc/resolv.conf and the name server, or write the address instead of the name")
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

// Of returns the addresses that a name had when it was last found, or nil if it
// never was.
func (b *Book) Of(name string) []netip.Addr { return b.known[name] }

// Without returns the names that have no address.
func (b *Book) Without(names []string) (none []string) {
	for _, name := range names {
		if len(b.known[name]) == 0 {
			none = append(none, name)
		}
	}
	return none
}

// Forget drops all names except those in but.
func (b *Book) Forget(but []string) {
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

// sameSet compares without regard to order, because name servers rotate their answers.
func sameSet(a, b []netip.Addr) bool {
	contains := func(list []netip.Addr) func(netip.Addr) bool {
		return func(x netip.Addr) bool { return !slices.Contains(list, x) }
	}
	return !slices.ContainsFunc(a, contains(b)) && !slices.ContainsFunc(b, contains(a))
}

// Lookups looks names up again and again, on its own goroutine.
type Lookups struct {
	resolver Resolver
	every    time.Duration
	news     func(cancelled <-chan struct{}, f Findings) // see StartLookups
	cancel   context.CancelFunc
	wake     chan struct{} // has a value when the names have changed
	ended    chan struct{}

	mu      sync.Mutex // guards what follows
	names   []string
	missing bool // some names have no address
}

// StartLookups begins to look names up once Set is called, every so often; 0 is every
// 30 s. It calls news with the results. news has to return when cancelled is closed,
// which is when Close is called.
func StartLookups(resolver Resolver, every time.Duration, news func(<-chan struct{}, Findings)) *Lookups {
	if every == 0 {
		every = resolveEvery
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lookups{
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

// Set sets the names to look up from now on. missing says that some of them have no
// address, which has all looked up more often.
func (l *Lookups) Set(names []string, missing bool) {
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

// wants returns the names to look up and after which time.
func (l *Lookups) wants() (names []string, every time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missing {
		return l.names, min(l.every, unresolvedEvery)
	}
	return l.names, l.every
}

func (l *Lookups) run(ctx context.Context) {
	defer close(l.ended)
	for {
		names, every := l.wants()
		var due <-chan time.Time // never, without names
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
		f := LookUp(ctx, l.resolver, names, Timeout)
		if ctx.Err() != nil {
			return
		}
		l.news(ctx.Done(), f)
	}
}

// Close ends the lookups.
func (l *Lookups) Close() {
	l.cancel()
	<-l.ended
}
