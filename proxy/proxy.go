package proxy

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"lb/arena"
	"lb/board"
	"lb/loop"
	"lb/proxy/admission"
	"lb/proxy/backs"
	"lb/proxy/clients"
	"lb/proxy/front"
	"lb/proxy/ids"
	"lb/proxy/lane"
	"lb/proxy/quota"
	"lb/proxy/record"
	"lb/proxy/retry"
	"lb/proxy/rewrite"
	"lb/proxy/spares"
	"lb/proxy/upkeep"
	"lb/proxy/watch"
	"lb/upstream"
)

// Options configure a proxy.
type Options struct {
	Board    *board.Board
	Slot     int      // of the loop on the board, where the caller has claimed it
	Snapshot Snapshot // the configuration to begin with
	Log      *slog.Logger
	// Clock returns the time of day for Date; nil uses time.Now.
	Clock func() time.Time
	// Record, unless it is nil, is called on the loop at the end of every exchange.
	// It must not block, nor keep the record.
	Record func(*record.Record)
	// PassOn is called on the loop to hand a client connection that has just been
	// accepted at address to the loop in another slot, whose Proxy.Passed takes it
	// over. It reports whether it took fd. It must not block. nil passes no conn on.
	PassOn func(slot int, address string, fd int, peer netip.AddrPort) bool
	// Table makes the table of a pool beside the loop; see upstream.Pool.TablesFrom. It may be nil.
	Table func(pool string, list []upstream.Share, take func(upstream.Table))
}

// Proxy is the data plane of one loop. All methods are called on the loop.
type Proxy struct {
	loop     *loop.Loop
	arena    *arena.Arena
	log      *slog.Logger
	board    *board.Board
	slot     int // on the board
	counters *board.Loop
	refusals *board.Refusals
	secret   []byte // the board's

	now     *snapshot       // the present configuration
	past    []*snapshot     // those from which exchanges may still pick, the oldest first
	targets map[int]*target // of now, by ID
	budget  upstream.Budget
	quotas  quota.Set[*exchange]
	watch   watch.Watch
	upkeep  upkeep.Upkeep

	shared  front.Shared // with the servers and their fronts
	clients *clients.Clients
	drained func() // called once when the last client has gone
	backs   backs.Conns
	spares  spares.List[exchange]

	chance *rand.Rand // for jitter
	ids    *ids.Maker
	record func(*record.Record)                                                // Options.Record
	table  func(pool string, list []upstream.Share, take func(upstream.Table)) // see Options

	// Memory that is used within one call.
	composer rewrite.Composer
	request  rewrite.Request
	cookie   rewrite.Cookie
	scrap    []byte // a path
	own      admission.Own
}

// New returns a proxy on l.
func New(l *loop.Loop, o Options) *Proxy {
	cfg := o.Snapshot.Config
	p := &Proxy{
		loop:     l,
		arena:    arena.New(lane.SlabBytes, admission.LargeBytes(cfg)),
		log:      o.Log,
		board:    o.Board,
		slot:     o.Slot,
		counters: o.Board.Loop(o.Slot),
		refusals: o.Board.Refusals(o.Slot),
		secret:   o.Board.Secret(),
		budget:   retry.NewBudget(&cfg.Retry),
		chance:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		record:   o.Record,
		table:    o.Table,
	}
	p.shared = front.Shared{Loop: l, Arena: p.arena, Counters: p.counters, Refusals: p.refusals, Host: p}
	p.backs.Init(&p.shared, p.chance, func(id int) {
		if t := p.targets[id]; t != nil {
			t.wish(board.ReasonGoaway)
		}
	})
	p.quotas.Init(l, p.board, p.slot)
	p.watch = watch.Watch{Loop: l, Board: p.board, Busy: p.isBusy, Changed: p.evacuate}
	p.clients = clients.New(&p.shared, p.board, p.slot, p.log)
	p.clients.PassOn, p.clients.Taken = o.PassOn, p.showOldest
	p.upkeep = upkeep.Upkeep{Loop: l, Counters: p.counters, GiveBack: arena.GiveBack,
		Trim: func() int {
			p.watch.Look()
			return p.arena.Trim() + p.clients.Trim() + p.backs.H2.Trim() + p.spares.Trim()*exchangeBytes
		}}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	p.composer, p.ids = rewrite.NewComposer(o.Clock), ids.New(ids.Seed(), o.Clock)
	p.now, p.targets = p.newSnapshot(o.Snapshot)
	p.use(o.Snapshot)
	p.showOldest()
	p.upkeep.Begin()
	return p
}

// Door returns the acceptor for listeners at address, as the configuration names it
// (config.Listening): what they are may change with the configuration. It is called again
// for each.
func (p *Proxy) Door(address string) loop.Acceptor { return p.clients.Door(address) }

// Passed takes over a client connection that another loop has accepted at address, or
// passes it on again. In a drain its first request is still answered.
func (p *Proxy) Passed(address string, fd int, peer netip.AddrPort) {
	p.clients.Passed(address, fd, peer)
}

// Close ends the threads that work for the loop, which has ended.
func (p *Proxy) Close() { p.shared.Close() }

// Drain stops accepting, answers the running requests, and the last ones that idle
// clients send (h1.Conn.LastCall), with Connection: close. It calls done once, on the
// loop, when the last client conn has gone.
func (p *Proxy) Drain(done func()) {
	p.loop.Unlisten()
	p.shared.Draining, p.drained = true, done
	p.clients.Drain()
	p.closeIdle()
	p.Closed()
}

// Cut ends every conn at once and returns how many exchanges were cut off.
func (p *Proxy) Cut() int {
	cut := p.clients.Cut()
	p.closeIdle()
	return cut
}

// closeIdle ends the idle conns to backends.
func (p *Proxy) closeIdle() {
	p.eachTarget(func(t *target) { t.CloseIdle() })
}

// Closed implements front.Host. It ends a drain when the last client has gone.
func (p *Proxy) Closed() {
	if !p.shared.Draining || p.shared.Clients > 0 {
		return
	}
	p.showOldest()
	if done := p.drained; done != nil {
		p.drained = nil
		done()
	}
}

// Panicked implements front.Host. The loop calls it too, after a panic while it accepted a conn.
func (p *Proxy) Panicked(value any, stack []byte) {
	p.counters.Panics.Add(1)
	p.log.Error("panic", "value", value, "stack", string(stack), "mend", "this is a defect of lb: report it with the stack")
	f := p.shared.Working
	p.shared.Working = nil
	if f != nil {
		f.Abandon()
	}
}

// Rung is called after another loop has rung the bell of this one on the board: it wants
// room.
func (p *Proxy) Rung() {
	p.shared.Crowd.Rung()
	p.eachTarget(func(t *target) { t.Yield() })
}
