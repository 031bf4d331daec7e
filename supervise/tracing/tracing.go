// Package tracing exports spans by OTLP over HTTP: one of each exchange whose trace is
// sampled, and one of each attempt. The loops write an entry for each of these exchanges
// into a ring; this package reads the rings of the loops of this process. So a collector
// that is slow or away never holds up a request: spans that nobody takes are lost, counted,
// and reported once. The package knows the JSON of an entry, but not how
// loops write it, or the configuration.
package tracing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"lb/board"
)

// How spans are gathered and sent.
const (
	batchMax = 512          // spans in one request
	queueMax = 8 * batchMax // spans that wait; those that come later are lost
	triesMax = 4            // for a batch; only one while the collector does not take any
)

// pace is how long things may take.
type pace struct {
	read     time.Duration // from one look at the rings to the next: they have room for what comes in between
	batch    time.Duration // the first span of a batch waits for others
	send     time.Duration // the collector has to answer
	pause    time.Duration // before the second try; each further pause is twice as long
	pauseMax time.Duration // also where the collector asks for more (Retry-After)
	drain    time.Duration // for what is left at the end
}

// usual is the pace of lb.
var usual = pace{read: 100 * time.Millisecond, batch: time.Second, send: 5 * time.Second,
	pause: 250 * time.Millisecond, pauseMax: 5 * time.Second, drain: 3 * time.Second}

// Ring is the ring of one loop: *board.Ring.
type Ring interface {
	Next() uint64
	Read(from uint64, f func(number uint64, entry []byte)) (next, lost uint64)
}

// Options say what is exported.
type Options struct {
	Slots   func() int          // how many slots of the board are claimed; it never falls
	Ring    func(slot int) Ring // of a slot that is claimed
	Own     func(slot int) bool // reports whether a loop of this process is in the slot, or was the last one there
	Version string              // of lb
	Log     *slog.Logger
	// NoteLost, unless it is nil, is called with the number of spans that are lost, by
	// several goroutines.
	NoteLost func(n uint64)
}

// Tracing exports spans until it is closed. Any goroutine may call its methods.
type Tracing struct {
	o        Options
	pace     pace
	endpoint atomic.Pointer[string]
	changed  chan struct{} // the endpoint is another one
	lost     atomic.Uint64
	trouble  atomic.Pointer[string] // why spans are not taken now, in one line, or nil

	mu    sync.Mutex
	slots []slot

	exporter *otlptrace.Exporter
	client   *client
	resource *resourceOf
	queue    chan sdk.ReadOnlySpan

	stop context.CancelFunc // no more entries are read
	done sync.WaitGroup
}

// slot is what is known of the ring of one loop.
type slot struct {
	from uint64 // the next entry to be read
	own  bool   // at the last look
}

// Start begins to export to endpoint, the URL of a collector. With "" nothing is exported
// until Configure has another one.
func Start(o Options, endpoint string) *Tracing { return startAt(o, endpoint, usual) }

func startAt(o Options, endpoint string, p pace) *Tracing {
	t := &Tracing{o: o, pace: p, changed: make(chan struct{}, 1),
		client: newClient(o.Version), resource: resourceFor(o.Version), queue: make(chan sdk.ReadOnlySpan, queueMax)}
	t.endpoint.Store(&endpoint)
	t.skip()
	t.exporter = otlptrace.NewUnstarted(t.client)
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.done.Go(func() {
		t.read(ctx)
		close(t.queue)
	})
	t.done.Go(func() { t.send(ctx) })
	return t
}

// OfBoard is Start for the loops of b, which has to stay until Close has returned. own
// reports whether a slot is one of this process. version is that of lb.
func OfBoard(log *slog.Logger, b *board.Board, own func(slot int) bool, version, endpoint string) *Tracing {
	return Start(Options{Slots: b.Loops, Ring: func(slot int) Ring { return b.SpanRing(slot) }, Own: own, Version: version, Log: log,
		NoteLost: func(n uint64) { b.Control().SpansLost.Add(n) }}, endpoint)
}

// Configure exports to endpoint from now on, also what waits; with "" nothing more.
func (t *Tracing) Configure(endpoint string) {
	t.mu.Lock()
	old := t.endpoint.Swap(&endpoint)
	if *old == "" {
		t.skip() // nobody wanted what was written until now
	}
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default: // the reader has not seen the last change yet
	}
}

// Lost returns how many spans were lost because nobody took them in time, and how many
// entries of the rings, each of which is at least one.
func (t *Tracing) Lost() uint64 { return t.lost.Load() }

// Trouble returns why spans are not taken now, in one line, or "".
func (t *Tracing) Trouble() string {
	if text := t.trouble.Load(); text != nil && *t.endpoint.Load() != "" {
		return *text
	}
	return ""
}

// lose counts n spans as lost.
func (t *Tracing) lose(n uint64) {
	t.lost.Add(n)
	if t.o.NoteLost != nil && n > 0 {
		t.o.NoteLost(n)
	}
}

// Close exports what was written until now, for some seconds at most, and ends. It may be
// called again, and for nil.
func (t *Tracing) Close() {
	if t != nil {
		t.stop()
		t.done.Wait()
	}
}

// read takes entries from the rings while there is an endpoint.
func (t *Tracing) read(ctx context.Context) {
	every := time.NewTicker(t.pace.read)
	defer every.Stop()
	for {
		tick := every.C
		if *t.endpoint.Load() == "" {
			tick = nil // nothing to do until Configure
		}
		select {
		case <-tick:
			t.look()
		case <-t.changed:
		case <-ctx.Done():
			t.look()
			return
		}
	}
}

// skip takes the rings for read. The caller holds mu.
func (t *Tracing) skip() {
	t.grow()
	for i := range t.slots {
		t.slots[i].from = t.o.Ring(i).Next()
	}
}

// grow takes up slots that were claimed since, all of whose entries are new.
func (t *Tracing) grow() {
	for len(t.slots) < t.o.Slots() {
		t.slots = append(t.slots, slot{})
	}
}

// look reads what is new, unless there is no endpoint. The entries of a slot that another
// process uses are for that one: in an upgrade both run for a while.
func (t *Tracing) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *t.endpoint.Load() == "" {
		return
	}
	t.grow()
	for i := range t.slots {
		s, ring, was := &t.slots[i], t.o.Ring(i), t.slots[i].own
		if s.own = t.o.Own(i); !s.own && !was {
			s.from = ring.Next()
			continue
		}
		// A slot that was ours until now has the last entries of a loop of ours.
		next, lost := ring.Read(s.from, func(_ uint64, entry []byte) { t.take(entry) })
		s.from = next
		t.lose(lost)
	}
}

// take queues the spans of one entry. All of them or none are queued: half a trace misleads.
func (t *Tracing) take(entry []byte) {
	spans := t.resource.spans(entry)
	if len(spans) == 0 || cap(t.queue)-len(t.queue) < len(spans) {
		t.lose(uint64(max(len(spans), 1)))
		return
	}
	for _, s := range spans {
		t.queue <- s // there is room: this goroutine alone sends
	}
}
