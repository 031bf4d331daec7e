package discover

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lb/config"
)

// Hub follows the names and sources of a configuration. Any goroutine may call its
// methods; none waits for the network except Await.
type Hub struct {
	o   Options
	ctx context.Context // done when the hub is closed
	end context.CancelFunc
	all sync.WaitGroup // goroutines

	fast, slow chan struct{} // one value for each question that is being asked

	mu      sync.Mutex
	names   map[nameKey]*name
	sources map[string]*source // by pool
	parked  parked
	pools   map[string]*pool
	told    map[string]*pool // those that the log has
	version uint64           // counts the changes of all names and sources
	cfg     *config.Config   // that is followed
	news    chan struct{}    // closed, and replaced, when something has answered
	dirty   chan struct{}    // has a value when something has changed

	unwritten bool // the log knows that the cache cannot be written; for save
}

const (
	holdDown = 200 * time.Millisecond
	// askedMax is how many questions are asked at once, and slowMax how many more of names
	// whose last question failed: they do not hold up the others.
	askedMax = 1024
	slowMax  = 256
)

// New returns a Hub that follows nothing yet. It reads the cache.
func New(o Options) *Hub {
	if o.Hold == 0 {
		o.Hold = holdDown
	}
	if o.Empty == 0 {
		o.Empty = EmptyAfter
	}
	h := &Hub{
		o:       o,
		fast:    make(chan struct{}, askedMax),
		slow:    make(chan struct{}, slowMax),
		names:   map[nameKey]*name{},
		sources: map[string]*source{},
		pools:   map[string]*pool{},
		told:    map[string]*pool{},
		news:    make(chan struct{}),
		dirty:   make(chan struct{}, 1),
	}
	h.ctx, h.end = context.WithCancel(context.Background())
	h.parked = parked{names: map[nameKey]parkedName{}, sources: map[sourceKey]parkedSource{}}
	h.load()
	h.all.Go(h.flushing)
	return h
}

// Close ends everything, and writes the cache.
func (h *Hub) Close() {
	h.end()
	h.all.Wait()
	h.save()
}

// Follow follows the names and sources of cfg, which is what the file says, from now on,
// and no others. What is known of those that are left out is kept for a while.
func (h *Hub) Follow(cfg *config.Config) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return
	}
	h.cfg = cfg
	h.parked.prune(time.Now())
	pools, sources := map[string]bool{}, map[string]bool{}
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		pools[p.Name] = true
		if p.Discover != "" {
			sources[p.Name] = true
			h.followSource(p)
		}
	}
	for _, s := range h.sources {
		if !sources[s.pool.Name] {
			h.dropSource(s)
		}
	}
	maps.DeleteFunc(h.pools, func(p string, _ *pool) bool { return !pools[p] })
	maps.DeleteFunc(h.told, func(p string, _ *pool) bool { return !pools[p] })
	h.followNames()
	h.touch()
}

// followNames follows the names that the configuration and the sources give.
func (h *Hub) followNames() {
	type pace struct{ min, max time.Duration }
	wanted := map[nameKey]pace{}
	for i := range h.cfg.Pools {
		p := &h.cfg.Pools[i]
		for _, list := range [][]config.Backend{p.Backends, h.reportedOf(p.Name)} {
			for _, b := range list {
				if !IsName(b) {
					continue
				}
				key := keyOf(p, b)
				w := pace{orElse(p.ResolveMin, minDefault), orElse(p.ResolveMax, maxDefault)}
				if had, ok := wanted[key]; ok {
					w = pace{min(w.min, had.min), min(w.max, had.max)}
				}
				wanted[key] = w
			}
		}
	}
	for key, n := range h.names {
		if _, ok := wanted[key]; !ok {
			h.dropName(n)
		}
	}
	for key, w := range wanted {
		h.followName(key, w.min, max(w.min, w.max))
	}
}

func orElse(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// Await returns when all names and sources have answered or failed once, or ctx is done.
func (h *Hub) Await(ctx context.Context) {
	for {
		h.mu.Lock()
		settled, news := h.settled(), h.news
		h.mu.Unlock()
		if settled {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			return
		case <-h.ctx.Done():
			return
		}
	}
}

func (h *Hub) settled() bool {
	for _, s := range h.sources {
		if !s.settled {
			return false
		}
	}
	for _, n := range h.names {
		if !n.settled() {
			return false
		}
	}
	return true
}

// answered wakes Await.
func (h *Hub) answered() {
	close(h.news)
	h.news = make(chan struct{})
}

// touch has Changed called in a while.
func (h *Hub) touch() {
	select {
	case h.dirty <- struct{}{}:
	default: // it has a value, which says the same
	}
}

// flushing calls Changed after changes, and writes the cache now and then.
func (h *Hub) flushing() {
	const saveEvery, refreshEvery = 5 * time.Second, time.Hour
	save := time.NewTimer(refreshEvery)
	defer save.Stop()
	var saved time.Time
	due := time.Now().Add(refreshEvery)
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-save.C:
			h.save()
			saved = time.Now()
			due = saved.Add(refreshEvery)
			save.Reset(refreshEvery)
			continue
		case <-h.dirty:
		}
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(h.o.Hold):
		}
		select {
		case <-h.dirty: // of the time that has passed
		default:
		}
		if h.tell() {
			if next := saved.Add(saveEvery); next.Before(due) {
				due = next
				save.Reset(time.Until(next)) // the first change at once
			}
		}
		if h.o.Changed != nil {
			h.o.Changed(h.ctx.Done())
		}
	}
}

// Ask asks for these names at once, because connects to an address of theirs fail; a name
// is asked once in its resolve_min at most. Sources that reported the name are asked, too.
func (h *Hub) Ask(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := func(name string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, shownName(name)) })
	}
	for _, n := range h.names {
		if asked(n.key.name) {
			n.askNow()
		}
	}
	for _, s := range h.sources {
		if a, ok := s.source.(Asker); ok && slices.ContainsFunc(s.list, func(b config.Backend) bool { return asked(b.Host) }) {
			a.Ask()
		}
	}
}

// shownName returns a name as it stands in Host fields and certificates, without the dot
// that says that it is whole.
func shownName(name string) string {
	if len(name) > 1 {
		return strings.TrimSuffix(name, ".")
	}
	return name
}

// Without returns the names and sources of cfg that have no address yet.
func (h *Hub) Without(cfg *config.Config) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		if s := h.sources[p.Name]; p.Discover != "" && (s == nil || len(s.list) == 0) {
			list = append(list, shownSource(p.Discover))
		}
		for _, b := range slices.Concat(p.Backends, h.reportedOf(p.Name)) {
			if n := h.names[keyOf(p, b)]; IsName(b) && (n == nil || len(n.addrs) == 0) && !slices.Contains(list, shownName(b.Host)) {
				list = append(list, shownName(b.Host))
			}
		}
	}
	return list
}
