package proxy

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"lb/arena"
	"lb/board"
	"lb/config"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/loop/looptest"
	"lb/proxy/admission"
	"lb/proxy/front"
	"lb/proxy/ids"
	"lb/proxy/record"
	"lb/proxy/shake"
)

const crlf = "\r\n"

// rig is a real loop and a real proxy on the fake kernel.
type rig struct {
	beside   *rig // of another loop, whose bell is heard in pass; or nil
	k        *looptest.Kernel
	calls    *callCounter
	l        *loop.Loop
	p        *Proxy
	board    *board.Board
	listener int
	servers  []*looptest.Server // by place: rigBackend(i)
	welcome  func(place int, p *looptest.Peer)
	ids      rigIDs
	snapshot Snapshot     // the newest
	layered  bool         // the conns of clients have a looptest.Layer; set it before the first
	http2    bool         // and all speak HTTP/2
	log      bytes.Buffer // the log of the proxy
	rec      *recorder
	panics   int // the number of panics expected
}

// callCounter counts the kernel calls of a loop, except waits that returned nothing: a turn
// without a call has moved nothing.
type callCounter struct {
	*looptest.Kernel
	n      int
	panics bool   // at the next Read
	writes func() // called before each Write, if it is set
}

func (c *callCounter) Wait(events []loop.Event, timeout time.Duration) (int, error) {
	n, err := c.Kernel.Wait(events, timeout)
	c.n += n
	return n, err
}

func (c *callCounter) Read(fd int, b []byte) (int, error) {
	c.n++
	if c.panics {
		c.panics = false
		panic("a mistake")
	}
	return c.Kernel.Read(fd, b)
}

func (c *callCounter) Writev(fd int, x, y, z []byte) (int, error) {
	c.n++
	return c.Kernel.Writev(fd, x, y, z)
}

func (c *callCounter) Write(fd int, b []byte) (int, error) {
	if c.n++; c.writes != nil {
		c.writes()
	}
	return c.Kernel.Write(fd, b)
}

// tinySlab is the size of a tiny small slab, in bytes. It holds next to nothing, so that
// every path for "full" is taken.
const tinySlab = 48

const (
	rigSecret      = "the secret of a board"
	rigBackendsMax = 40 // over all reloads
)

var (
	rigDate   = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	rigClient = netip.MustParseAddrPort("192.0.2.1:1000")
)

// rigPortH2 is the first port of clients that speak HTTP/2 behind a looptest.Layer.
const rigPortH2 = 20000

// rigBackend is the address of backend i.
func rigBackend(i int) loop.Addr {
	return loop.Addr{IP: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 80)}
}

// rigConfig is the default configuration with some backends.
func rigConfig(backends int) *config.Config {
	cfg := config.Default()
	cfg.Via, cfg.RequestID = "lb", "" // not the defaults: every request shows them
	cfg.Pools[0].Backends, cfg.Pools[0].Reuse = nil, config.ReuseAlways
	for i := range backends {
		to := rigBackend(i).IP
		cfg.Pools[0].Backends = append(cfg.Pools[0].Backends,
			config.Backend{Host: to.Addr().String(), Port: int(to.Port()), Weight: 1})
	}
	return cfg
}

// rigAddr is the address of a backend, whose host is an IP address or the letter of a
// place: "a" is rigBackend(0).
func rigAddr(b config.Backend) loop.Addr {
	if len(b.Host) == 1 {
		return rigBackend(int(b.Host[0] - 'a'))
	}
	return loop.Addr{IP: netip.AddrPortFrom(netip.MustParseAddr(b.Host), uint16(b.Port))}
}

// newRig returns a rig that listens, with a server at the place of every backend. tiny
// makes small slabs tinySlab bytes long.
func newRig(t testing.TB, seed uint64, cfg *config.Config, tiny bool) *rig {
	t.Helper()
	return newRigOn(t, seed, rigOptions(cfg), tiny)
}

// newRigOn is newRig for a proxy that is one of several on its board.
func newRigOn(t testing.TB, seed uint64, o Options, tiny bool) *rig {
	t.Helper()
	k := looptest.New(seed)
	r := &rig{k: k, calls: &callCounter{Kernel: k}, board: o.Board}
	r.l = loop.New(r.calls, loop.Options{OnPanic: func(value any, stack []byte) {
		if r.panics--; r.panics < 0 {
			t.Errorf("panic: %v\n%s", value, stack)
		}
	}})
	r.ids = make(rigIDs)
	r.ids.snapshot(o.Snapshot.Config)
	r.snapshot = o.Snapshot
	r.serve(o.Snapshot)
	o.Log = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	r.rec = &recorder{t: t, live: make(map[*record.Record]bool)}
	o.Record = r.rec.record
	r.p = New(r.l, o)
	r.p.placeLetters()
	r.rec.attach(r.p)
	*r.p.chance = *rand.New(rand.NewPCG(seed, 0)) // h2back has it too
	r.p.ids = ids.New([32]byte{byte(seed)}, o.Clock)
	r.p.secret = []byte(rigSecret)
	for _, q := range r.p.now.pools {
		q.Seed(seed)
		if q.cfg.Sticky != "" {
			q.UseSticky(r.p.stickyKey(o.Snapshot.Config))
		}
	}
	if tiny {
		*r.p.arena = *arena.New(tinySlab, admission.LargeBytes(o.Snapshot.Config))
	}
	r.listener = k.Listen()
	door := &rigDoor{Acceptor: r.p.Door(o.Snapshot.Config.Listening()[0].Address), r: r}
	if err := r.l.Listen(r.listener, door); err != nil {
		t.Fatal(err)
	}
	return r
}

// rigDoor takes conns as the door of the proxy does, or as if a handshake had made them, with
// a looptest.Layer.
type rigDoor struct {
	loop.Acceptor
	r *rig
}

// Accepted implements loop.Acceptor.
func (d *rigDoor) Accepted(fd int, peer netip.AddrPort) {
	if !d.r.layered {
		d.Acceptor.Accepted(fd, peer)
		return
	}
	p := d.r.p
	p.counters.Accepted.Add(1)
	var c loop.Conn
	if p.loop.Adopt(&c, nil, fd) != nil {
		p.counters.AcceptErrors.Add(1)
		return
	}
	p.shared.Clients++
	p.counters.ClientConns.Add(1)
	d.r.k.Layer(&c)
	over := shake.Over{Conn: &c, From: front.Arrival{Addr: peer}, Way: front.TLS}
	if d.r.http2 || peer.Port() >= rigPortH2 {
		over.TLS.Protocol = tlsconf.ProtocolH2
	}
	p.clients.Shaken(over)
}

// connect returns a client.
func (r *rig) connect(from netip.AddrPort) *looptest.Peer {
	p := r.k.Connect(r.listener, from)
	p.Layered = r.layered
	return p
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// rigOptions are the options of the only loop of a board of its own.
func rigOptions(cfg *config.Config) Options {
	return Options{
		Board:    board.New(1, rigBackendsMax),
		Snapshot: make(rigIDs).snapshot(cfg),
		Log:      slog.New(slog.DiscardHandler),
		Clock:    func() time.Time { return rigDate },
	}
}

// rigIDs are the IDs of backends by pool and name, in the order of their first use.
type rigIDs map[[2]string]int

// snapshot is the first snapshot of cfg for the only loop.
func (ids rigIDs) snapshot(cfg *config.Config) Snapshot {
	s := Snapshot{Config: cfg, Number: 1, Loops: 1, Slots: []int{0}}
	for _, pool := range cfg.Pools {
		var list []int
		for _, b := range pool.Backends {
			key := [2]string{pool.Name, b.String()}
			if _, known := ids[key]; !known {
				ids[key] = len(ids)
			}
			list = append(list, ids[key])
		}
		s.IDs = append(s.IDs, list)
	}
	return s
}

// serve starts servers for all backends of s that have none yet.
func (r *rig) serve(s Snapshot) {
	for _, pool := range s.Config.Pools {
		for _, b := range pool.Backends {
			for i := len(r.servers); i <= int(rigAddr(b).IP.Addr().As4()[3])-1; i++ {
				v := r.k.Serve(rigBackend(i))
				v.OnConnect = r.onConnect(i)
				r.servers = append(r.servers, v)
			}
		}
	}
}

// onConnect returns a function that gives a place's conns to welcome, or nil without welcome.
func (r *rig) onConnect(place int) func(p *looptest.Peer) {
	if r.welcome == nil {
		return nil
	}
	return func(p *looptest.Peer) { r.welcome(place, p) }
}

// onEveryConnect gives f the conns to all places, including those of backends still to come.
func (r *rig) onEveryConnect(f func(place int, p *looptest.Peer)) {
	r.welcome = f
	for i, v := range r.servers {
		v.OnConnect = r.onConnect(i)
	}
}

// next makes the snapshot of cfg that of r, and returns it.
func (r *rig) next(cfg *config.Config) Snapshot {
	before := r.snapshot
	r.snapshot = r.ids.snapshot(cfg)
	r.snapshot.Number = before.Number + 1
	r.snapshot.Loops, r.snapshot.Place, r.snapshot.Slots = before.Loops, before.Place, before.Slots
	r.serve(r.snapshot)
	return r.snapshot
}

// change gives the proxy other members at its next turn, which is all that cfg changes.
func (r *rig) change(cfg *config.Config) {
	var pools []int
	for i := range cfg.Pools {
		if !slices.Equal(cfg.Pools[i].Backends, r.snapshot.Config.Pools[i].Backends) {
			pools = append(pools, i)
		}
	}
	s := r.next(cfg)
	r.l.Post(func() {
		r.p.Change(s, pools)
		r.p.placeLetters()
	})
}

// reload gives the proxy another configuration at its next turn.
func (r *rig) reload(cfg *config.Config) {
	s := r.next(cfg)
	r.l.Post(func() {
		r.p.Reload(s)
		r.p.placeLetters()
	})
}

// placeLetters gives the backends whose host is a letter their addresses.
func (p *Proxy) placeLetters() {
	for _, q := range p.now.pools {
		for i, t := range q.targets {
			if len(q.cfg.Backends[i].Host) == 1 {
				t.Addr = rigAddr(q.cfg.Backends[i])
			}
		}
	}
}

// settle turns the loop until nothing moves. No time passes.
func (r *rig) settle() {
	for quiet := 0; quiet < 3; quiet++ {
		before := r.calls.n
		if r.l.Turn(false); r.calls.n != before {
			quiet = 0
		}
	}
}

// pass lets time pass, and everything happen that is due by then.
func (r *rig) pass(d time.Duration) {
	for other := r.beside; other != nil && d >= time.Millisecond; d -= time.Millisecond {
		r.k.Pass(r.l, time.Millisecond)
		r.settle()
		if r.board.AwaitBell(other.p.slot, 0) {
			other.l.Post(other.p.Rung)
			other.settle()
		}
	}
	r.k.Pass(r.l, d)
	r.settle()
}

// leftovers names the counts that are not zero although no conn should be open.
func (r *rig) leftovers() (all []string) {
	note := func(what string, n int) {
		if n != 0 {
			all = append(all, fmt.Sprintf("%s: %d", what, n))
		}
	}
	note("slabs out", r.p.arena.Out())
	note("conns of the loop", r.l.Conns())
	note("descriptors", r.k.OpenFDs())
	note("clients", r.p.shared.Clients)
	note("timers beside that of Trim", r.l.Timers()-1)
	for what, c := range map[string]*board.Counter{
		"ClientConns":  &r.p.counters.ClientConns,
		"BackendConns": &r.p.counters.BackendConns,
		"BackendIdle":  &r.p.counters.BackendIdle,
		"HTTP2Conns":   &r.p.counters.HTTP2Conns,
		"Exchanges":    &r.p.counters.Exchanges,
		"Tunnels":      &r.p.counters.Tunnels,
		"Panics":       &r.p.counters.Panics,
		"Knocking":     &r.p.counters.Knocking,
		"IdleSince":    &r.p.counters.IdleSince,
		"RoutesWait":   &r.p.counters.RoutesWait,
	} {
		note(what, int(c.Load()))
	}
	for _, q := range r.p.now.pools {
		note("waiting at pool "+q.Name, q.room.Len())
		for _, t := range q.targets {
			note("idle list of "+t.Name, t.Idle.Len())
		}
	}
	for id := range r.board.Backends() {
		slot := r.board.Backend(r.p.slot, id)
		note(fmt.Sprintf("InFlight of backend %d", id), int(slot.InFlight.Load()))
		note(fmt.Sprintf("WaitsSince of backend %d", id), int(slot.WaitsSince.Load()))
		note(fmt.Sprintf("queued and idle of backend %d", id), int(slot.Gauges.Load()))
	}
	all = append(all, r.rec.leftovers(r)...)
	note("old snapshots", len(r.p.past))
	note("exchanges that may pick", r.p.now.picking)
	oldest := r.snapshot.Number
	if r.p.shared.Draining {
		oldest = 0
	}
	if got := r.p.counters.OldestConfig.Load(); got != oldest {
		all = append(all, fmt.Sprintf("OldestConfig: %d of %d", got, oldest))
	}
	if m := r.k.Misuses(); len(m) > 0 {
		all = append(all, m...)
	}
	return all
}

// askTwice has two clients ask, the second one when the first request has been dealt with.
func (r *rig) askTwice() (first, second *looptest.Peer) {
	first, second = r.k.Connect(r.listener, rigClient), r.k.Connect(r.listener, rigClient)
	for _, client := range [...]*looptest.Peer{first, second} {
		client.Send([]byte(ask))
		r.settle()
	}
	return first, second
}
