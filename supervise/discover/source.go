package discover

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/internal/redact"
)

// source is the source of one pool. Its fields belong to the hub's lock.
type source struct {
	h      *Hub
	pool   config.Pool // without backends
	source Source      // nil for dns:// and for one that could not be made
	stop   context.CancelFunc

	list    []config.Backend // reported last
	version uint64           // the hub's when list changed last
	settled bool
	failing bool // the log knows

	emptySince         time.Time // when it was first empty while list is not
	answeredAt, failAt time.Time
	fault              string
	changes, errors    uint64
}

// sourceKey is what the last known list of a source is found by. source is hashOf its
// address.
type sourceKey struct{ pool, source string }

// shownSource returns the address of a source without its secrets.
func shownSource(discover string) string { return redact.URL(discover) }

// settingsOf returns what of p concerns its source.
func settingsOf(p *config.Pool) config.Pool {
	return config.Pool{Name: p.Name, Discover: p.Discover, Resolver: p.Resolver, ResolveMin: p.ResolveMin, ResolveMax: p.ResolveMax}
}

// followSource follows the source of p.
func (h *Hub) followSource(p *config.Pool) {
	pool := settingsOf(p)
	if s := h.sources[p.Name]; s != nil {
		if s.pool.Same(&pool) {
			return
		}
		h.dropSource(s)
	}
	s := &source{h: h, pool: pool}
	h.sources[p.Name] = s
	key := sourceKey{pool.Name, hashOf(pool.Discover)}
	if known, ok := h.parked.sources[key]; ok {
		s.list, s.answeredAt = known.list, known.at
		h.version++
		s.version = h.version
		delete(h.parked.sources, key)
	}
	ctx, stop := context.WithCancel(h.ctx)
	s.stop = stop
	if b, ok := ofDNS(pool.Discover); ok {
		s.settled = true
		s.note([]config.Backend{b}, nil)
		return
	}
	var err error
	if s.source, err = h.o.Make(pool); err != nil {
		s.source, s.settled = nil, true
		s.note(nil, err)
		return
	}
	h.all.Go(func() { s.run(ctx) })
}

func (h *Hub) dropSource(s *source) {
	s.stop()
	delete(h.sources, s.pool.Name)
	if len(s.list) > 0 {
		h.parked.sources[sourceKey{s.pool.Name, hashOf(s.pool.Discover)}] = parkedSource{s.list, s.answeredAt, time.Now().Add(parkedFor)}
	}
}

// reportedOf returns the backends that a pool's source has reported.
func (h *Hub) reportedOf(pool string) []config.Backend {
	if s := h.sources[pool]; s != nil {
		return s.list
	}
	return nil
}

// ofDNS returns the backend that dns://host:port stands for. ok reports whether address is
// one.
func ofDNS(address string) (b config.Backend, ok bool) {
	u, flaw := discovery.Parse(address)
	if flaw != nil || u.Scheme != discovery.DNS {
		return b, false
	}
	host, text, err := net.SplitHostPort(u.Hosts[0])
	port, _ := strconv.Atoi(text)
	return config.Backend{Host: host, Port: port, Weight: 1, TLS: port == 443}, err == nil
}

// run runs the source, again if it ends by itself.
func (s *source) run(ctx context.Context) {
	for {
		err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		s.report(ctx, nil, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(5 * time.Second)):
		}
	}
}

// once runs the source, and returns why it has ended. A fault of a library that it uses is
// no reason for the supervisor to end.
func (s *source) once(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.h.o.Log.Error("panic in a source of backends", "pool", s.pool.Name, "source", shownSource(s.pool.Discover),
				"cause", p, "stack", string(debug.Stack()), "mend", "report it; the source is begun again")
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	s.source.Run(ctx, func(list []config.Backend, err error) { s.report(ctx, list, err) })
	return fmt.Errorf("the source has ended")
}

func (s *source) report(ctx context.Context, list []config.Backend, err error) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if ctx.Err() != nil {
		return // another follows
	}
	s.settled = true
	before := s.list
	s.note(list, err)
	if slices.ContainsFunc(before, IsName) || slices.ContainsFunc(s.list, IsName) {
		s.h.followNames()
	}
	s.h.answered()
}

// note enters what the source says.
func (s *source) note(list []config.Backend, err error) {
	now := time.Now()
	if err != nil {
		s.errors++
		s.emptySince = time.Time{}
		s.fault, s.failAt = err.Error(), now
		if !s.failing {
			s.failing = true
			s.h.o.Log.Warn("source of backends fails", "pool", s.pool.Name, "source", shownSource(s.pool.Discover),
				"cause", err, "backends_kept", len(s.list), "mend", "see the source and how it is reached; what is known stays in use, and it is asked again and again")
		}
		return
	}
	s.answeredAt = now
	if s.failing {
		s.failing, s.fault = false, ""
		s.h.o.Log.Info("source of backends answers again", "pool", s.pool.Name, "source", shownSource(s.pool.Discover))
	}
	if list = ordered(list); len(list) == 0 && len(s.list) > 0 {
		if s.emptySince.IsZero() {
			s.emptySince = now
			s.h.o.Log.Warn("source of backends answers with none", "pool", s.pool.Name, "source", shownSource(s.pool.Discover),
				"backends_kept", len(s.list), "mend", "if that is right, its next answer of this kind takes them out")
			return
		} else if now.Sub(s.emptySince) < s.h.o.Empty {
			return
		}
	}
	s.emptySince = time.Time{}
	if !slices.Equal(list, s.list) {
		s.list = list
		s.h.version++
		s.version = s.h.version
		s.changes++
		s.h.touch()
	}
}

// ordered returns a copy of list in an order that does not depend on the source's.
func ordered(list []config.Backend) []config.Backend {
	list = slices.Clone(list)
	for i := range list {
		list[i].Weight = min(max(list[i].Weight, 1), 65535)
	}
	slices.SortStableFunc(list, func(a, b config.Backend) int { return strings.Compare(a.String(), b.String()) })
	return slices.CompactFunc(list, func(a, b config.Backend) bool { return a.String() == b.String() })
}
