package discover

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lb/config"
)

const (
	minDefault = time.Second
	maxDefault = 30 * time.Second
	// missingEvery is how often a name without an address is asked for: lb is often
	// started together with its backends.
	missingEvery = time.Second
	// grace is how long a family waits for the other when lb starts.
	grace = 100 * time.Millisecond
)

// nameKey is what a name is found by: the same name may mean something else to another
// name server.
type nameKey struct{ resolver, name string }

func keyOf(p *config.Pool, b config.Backend) nameKey {
	return nameKey{p.Resolver, strings.ToLower(b.Host)}
}

// IsName reports whether b is given by a name, not by an IP address or a path.
func IsName(b config.Backend) bool {
	if b.Socket != "" {
		return false
	}
	_, err := netip.ParseAddr(b.Host)
	return err != nil
}

// name is one name that is followed. Its two families are asked apart, each by its own
// goroutine. The fields below stop belong to the hub's lock.
type name struct {
	h    *Hub
	key  nameKey
	ctx  context.Context
	stop context.CancelFunc

	min, max time.Duration
	families [2]family // IPv4, IPv6
	addrs    []netip.Addr
	version  uint64 // the hub's when addrs changed last
	late     bool   // the grace of the other family is over
	failing  bool   // the log knows

	emptySince         time.Time // when the name was first without addresses that can be reached, while addrs are known
	answeredAt, failAt time.Time
	fault              string
	changes, errors    uint64
}

// family is what is known of a name in one family.
type family struct {
	asked   time.Time // last
	next    time.Time
	at      time.Time // when it last answered or failed; zero: not yet
	err     error     // of the last answer
	empty   bool      // the last answer was good and had no address
	addrs   []netip.Addr
	rank    int
	faults  int           // errors in a row
	now     chan struct{} // has a value when it is to be asked at once
	partial bool          // addrs are not all
}

// followName follows a name, or changes how often it is asked for.
func (h *Hub) followName(key nameKey, min, max time.Duration) {
	if n := h.names[key]; n != nil {
		if n.min != min || n.max != max {
			n.min, n.max = min, max
			n.askNow()
		}
		return
	}
	n := &name{h: h, key: key, min: min, max: max}
	if p, ok := h.parked.names[key]; ok {
		n.families[0].addrs, n.families[1].addrs = p.v4, p.v6
		n.families[0].rank, n.families[1].rank = p.rank4, p.rank6
		n.answeredAt = p.at
		delete(h.parked.names, key)
		n.unite()
	}
	n.ctx, n.stop = context.WithCancel(h.ctx)
	h.names[key] = n
	for i := range n.families {
		n.families[i].now = make(chan struct{}, 1)
		h.all.Go(func() { n.run(i) })
	}
}

func (h *Hub) dropName(n *name) {
	n.stop()
	delete(h.names, n.key)
	if len(n.addrs) > 0 {
		h.parked.names[n.key] = n.park(time.Now().Add(parkedFor))
	}
}

func (n *name) askNow() {
	for i := range n.families {
		select {
		case n.families[i].now <- struct{}{}:
		default:
		}
	}
}

// run asks for family i until the name is followed no longer.
func (n *name) run(i int) {
	wait := time.Duration(0)
	for {
		if !n.pause(wait, &n.families[i]) {
			return
		}
		q, tickets := n.begin(i)
		select {
		case tickets <- struct{}{}:
		case <-n.ctx.Done():
			return
		}
		a, err := n.h.o.Namer.Addrs(n.ctx, q)
		<-tickets
		if n.ctx.Err() != nil {
			return
		}
		wait = n.note(i, a, err)
	}
}

// pause waits, or less long if f is to be asked at once, and returns false when the name is
// followed no longer.
func (n *name) pause(wait time.Duration, f *family) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	for now := f.now; ; now = nil {
		select {
		case <-n.ctx.Done():
			return false
		case <-t.C:
			return true
		case <-now:
			n.h.mu.Lock()
			left := max(time.Until(f.asked.Add(n.min)), 0)
			if now := time.Now(); now.Add(left).Before(f.next) {
				f.next = now.Add(left)
				t.Reset(left)
			}
			n.h.mu.Unlock()
		}
	}
}

// begin returns the next question of family i, and the tickets that it needs one of.
func (n *name) begin(i int) (Query, chan struct{}) {
	n.h.mu.Lock()
	defer n.h.mu.Unlock()
	f := &n.families[i]
	f.asked, f.next = time.Now(), time.Time{}
	q := Query{Resolver: n.key.resolver, Name: n.key.name, IPv6: i == 1, Known: -1}
	if len(f.addrs) > 0 {
		q.Known = f.rank
	}
	if f.faults > 0 {
		return q, n.h.slow
	}
	return q, n.h.fast
}

// note enters an answer, and returns when the next question is due.
func (n *name) note(i int, a Answer, err error) time.Duration {
	h := n.h
	h.mu.Lock()
	defer h.mu.Unlock()
	f, other := &n.families[i], &n.families[1-i]
	now := time.Now()
	if first := f.at.IsZero(); first && other.at.IsZero() && err == nil && len(a.Addrs) > 0 {
		time.AfterFunc(grace, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			n.late = true
			h.answered()
		})
	}
	f.at, f.err, f.empty = now, err, err == nil && len(a.Addrs) == 0
	if err != nil {
		f.faults++
		n.errors++
		n.emptySince = time.Time{}
	} else {
		f.faults = 0
		n.answeredAt = now
		n.take(i, a, now)
	}
	wait := n.wait(f, a, now)
	f.next = now.Add(wait)
	n.judge()
	h.answered()
	return wait
}

// take enters what a good answer has.
func (n *name) take(i int, a Answer, now time.Time) {
	f, other := &n.families[i], &n.families[1-i]
	switch {
	case a.Partial && len(n.addrs) > 0 && !(f.partial && len(other.addrs) == 0):
		return // fewer than are known, perhaps
	case !f.empty:
		f.addrs, f.rank, f.partial = a.Addrs, a.Rank, a.Partial
		if !n.emptySince.IsZero() && n.h.reaches(f.addrs) {
			n.emptySince = time.Time{}
		}
	case len(f.addrs) == 0, n.h.reaches(other.addrs):
		f.addrs = nil
	case len(other.addrs) == 0 && !other.empty:
		return // it may have some
	case n.emptySince.IsZero():
		n.emptySince = now
		return
	case now.Sub(n.emptySince) < n.h.o.Empty:
		return
	default:
		f.addrs, n.emptySince = nil, time.Time{}
	}
	if n.unite() {
		n.changes++
		n.h.touch()
	}
}

// unite makes the addresses of the name from those of its families, and reports whether
// they are others than before. If the families were answered for different names of a
// search list, the one that comes first there holds.
func (n *name) unite() bool {
	rank := -1
	for _, f := range n.families {
		if len(f.addrs) > 0 && (rank < 0 || f.rank < rank) {
			rank = f.rank
		}
	}
	var all []netip.Addr
	for _, f := range n.families {
		if f.rank == rank {
			for _, ip := range f.addrs {
				all = append(all, ip.Unmap())
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare) // name servers rotate their answers
	all = n.h.routed(slices.Compact(all))
	if slices.Equal(all, n.addrs) {
		return false
	}
	n.addrs = all
	n.h.version++
	n.version = n.h.version
	return true
}

// routed returns those of all that this machine has a way to: a machine without IPv6 gets
// nothing but errors from the IPv6 half of a name. If it has a way to none, that may be for
// now.
func (h *Hub) routed(all []netip.Addr) []netip.Addr {
	is4 := func(ip netip.Addr) bool { return ip.Is4() }
	if h.o.Routed == nil || !slices.ContainsFunc(all, is4) || !slices.ContainsFunc(all, netip.Addr.Is6) {
		return all
	}
	if some := only(all, h.o.Routed); len(some) > 0 {
		return some
	}
	return all
}

// reaches reports whether this machine has a way to any of addrs.
func (h *Hub) reaches(addrs []netip.Addr) bool {
	if h.o.Routed == nil {
		return len(addrs) > 0
	}
	return slices.ContainsFunc(addrs, h.o.Routed)
}

// wait returns the time from an answer to the next question.
func (n *name) wait(f *family, a Answer, now time.Time) time.Duration {
	switch {
	case len(n.addrs) == 0:
		return jitter(min(max(missingEvery, n.min), n.max))
	case f.err != nil:
		return jitter(min(n.min<<min(f.faults-1, 16), n.max))
	}
	wait := min(max(a.TTL, n.min), n.max)
	if !n.emptySince.IsZero() {
		wait = min(wait, max(n.emptySince.Add(n.h.o.Empty).Sub(now), n.min))
	}
	return wait
}

// jitter returns d, up to a tenth longer or shorter.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// settled reports whether the name was answered for, or not found, once.
func (n *name) settled() bool {
	a, b := &n.families[0], &n.families[1]
	return !a.at.IsZero() && !b.at.IsZero() || n.late
}

var errEmpty = errors.New("it has no address")

// judge has the log know when a name fails, and when it is found again.
func (n *name) judge() {
	a, b := &n.families[0], &n.families[1]
	good := func(f *family) bool { return !f.at.IsZero() && f.err == nil && !f.empty }
	switch {
	case good(a) || good(b):
		if n.failing {
			n.failing, n.fault = false, ""
			n.h.o.Log.Info("name resolves again", "name", shownName(n.key.name))
		}
	case !a.at.IsZero() && !b.at.IsZero():
		err := cmp.Or[error](a.err, b.err, errEmpty)
		n.fault, n.failAt = err.Error(), time.Now()
		if !n.failing {
			n.failing = true
			n.h.o.Log.Warn("name does not resolve", "name", shownName(n.key.name), "cause", err, "addresses_kept", len(n.addrs),
				"mend", "see /etc/resolv.conf and the name server, or write the address instead of the name")
		}
	}
}
