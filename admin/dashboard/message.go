package dashboard

import (
	"encoding/json"
	"slices"
	"time"

	"lb/admin/api"
)

// message is what one event says: everything (Full), or what has changed since the event
// before. Fields that are left out have not changed.
type message struct {
	Full         bool              `json:"full,omitempty"`
	At           int64             `json:"at"` // in milliseconds since 1970, by the clock of lb
	Head         head              `json:"head"`
	Loops        []api.Loop        `json:"loops,omitzero"`
	Certificates []api.Certificate `json:"certificates,omitzero"`
	Pools        []api.Pool        `json:"pools,omitzero"`      // all, if it is Full or another configuration is in use
	Changed      []changed         `json:"changed,omitempty"`   // backends
	InFlight     [][3]uint64       `json:"in_flight,omitempty"` // pool, backend, attempts: where nothing else has changed
	History      *api.History      `json:"history,omitempty"`   // if it is Full; lists of zeros are left out
	Points       *api.History      `json:"points,omitempty"`    // the newest point of each list
	Faults       []json.RawMessage `json:"faults,omitempty"`    // the newest last
	Lost         int               `json:"lost,omitempty"`      // faults that were too many for an event
}

// head is what changes all the time.
type head struct {
	Status api.Status `json:"status"` // without what message has
	Rate   float64    `json:"rate"`   // requests each second
	Errors float64    `json:"errors"` // answers of 5xx each second
}

// changed is a backend by the indexes of its pool and itself.
type changed struct {
	pool, backend int
	now           api.Backend
}

// MarshalJSON makes an array of c.
func (c changed) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{c.pool, c.backend, c.now})
}

// look is what lb was at one moment.
type look struct {
	at      time.Time
	status  api.Status
	history time.Time // of the newest point
	rate    float64
	errors  float64
}

// rates sets the rates since the look before, of which there may be none; then they are
// those of the history.
func (l *look) rates(before *look, h api.History) {
	if before != nil && l.at.After(before.at) {
		passed := l.at.Sub(before.at).Seconds()
		l.rate = since(l.status.Totals.Requests, before.status.Totals.Requests) / passed
		l.errors = since(l.status.Totals.Replies[5], before.status.Totals.Replies[5]) / passed
	} else if n := len(h.Total.Rate); n > 0 {
		l.rate, l.errors = float64(h.Total.Rate[n-1]), float64(h.Total.Errors[n-1])
	}
}

// since returns the difference of two values of a counter, or 0 if it began again.
func since(now, before uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

func (l *look) head() head {
	h := head{Status: l.status, Rate: l.rate, Errors: l.errors}
	h.Status.Loops, h.Status.Pools, h.Status.Certificates, h.Status.Discovery = nil, nil, nil, nil
	return h
}

// whole returns everything that l has.
func (l *look) whole(h api.History, faults []json.RawMessage) *message {
	h = compact(h)
	return &message{Full: true, At: l.at.UnixMilli(), Head: l.head(), Loops: orEmpty(l.status.Loops), Pools: orEmpty(l.status.Pools),
		Certificates: orEmpty(l.status.Certificates), History: &h, Faults: faults}
}

// orEmpty keeps an empty list from being left out for a nil one.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// changes returns what is different from before. Times that differ by less than a second
// are taken from before: lb computes them from another clock, a little differently each time.
func (l *look) changes(before *look, h api.History) *message {
	m := &message{At: l.at.UnixMilli(), Head: l.head()}
	if !slices.Equal(l.status.Loops, before.status.Loops) {
		m.Loops = orEmpty(l.status.Loops)
	}
	if !slices.EqualFunc(l.status.Certificates, before.status.Certificates, sameCertificate) {
		m.Certificates = orEmpty(l.status.Certificates)
	}
	if l.history != before.history {
		newest := h.Last(1)
		m.Points = &newest
	}
	if l.status.Config.Number != before.status.Config.Number || !sameShape(l.status.Pools, before.status.Pools) {
		m.Pools = orEmpty(l.status.Pools)
		return m
	}
	for i := range l.status.Pools {
		for j := range l.status.Pools[i].Backends {
			was, is := &before.status.Pools[i].Backends[j], &l.status.Pools[i].Backends[j]
			switch keepTimes(is, was); {
			case !sameButCounts(is, was):
				m.Changed = append(m.Changed, changed{i, j, *is})
			case is.InFlight != was.InFlight:
				m.InFlight = append(m.InFlight, [3]uint64{uint64(i), uint64(j), is.InFlight})
			}
		}
	}
	return m
}

func sameCertificate(a, b api.Certificate) bool {
	return a.Name == b.Name && slices.Equal(a.Names, b.Names) && a.Issuer == b.Issuer && a.Expires.Equal(b.Expires) &&
		a.Soon == b.Soon && a.Source == b.Source && a.Pool == b.Pool && a.Fault == b.Fault
}

// sameShape reports whether two lists have the same pools with the same backends.
func sameShape(a, b []api.Pool) bool {
	return slices.EqualFunc(a, b, func(a, b api.Pool) bool {
		return a.Name == b.Name && a.Strategy == b.Strategy && slices.EqualFunc(a.Backends, b.Backends, func(a, b api.Backend) bool {
			return a.Address == b.Address
		})
	})
}

func keepTimes(is, was *api.Backend) {
	keep(&is.Since, was.Since)
	keep(&is.EjectedUntil, was.EjectedUntil)
	keep(&is.LeavingUntil, was.LeavingUntil)
	keep(&is.LastFaultAt, was.LastFaultAt)
}

func keep(is *time.Time, was time.Time) {
	if d := is.Sub(was); d.Abs() < time.Second {
		*is = was
	}
}

// sameButCounts compares two backends without their counters.
func sameButCounts(a, b *api.Backend) bool {
	x, y := *a, *b
	for _, c := range []*api.Backend{&x, &y} {
		c.InFlight, c.Attempts, c.Requests, c.Faults = 0, 0, 0, 0
	}
	return x == y
}

// compact leaves out lists of zeros, most of which are those of errors.
func compact(h api.History) api.History {
	h = h.Last(1 << 30)
	h.Total = withoutZeros(h.Total)
	for i := range h.Pools {
		p := &h.Pools[i]
		p.Course = withoutZeros(p.Course)
		for j := range p.Backends {
			p.Backends[j].Course = withoutZeros(p.Backends[j].Course)
		}
	}
	return h
}

func withoutZeros(c api.Course) api.Course {
	for _, list := range []*[]float32{&c.Rate, &c.Errors, &c.InFlight, &c.P50, &c.P99, &c.FirstByte} {
		if !slices.ContainsFunc(*list, func(v float32) bool { return v != 0 }) {
			*list = nil
		}
	}
	return c
}
