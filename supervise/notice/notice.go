// Package notice tells the operator, in the log, which backends fail and which requests
// lb refuses. Loops only count on the board; this package reads the board every second,
// and writes one line for each backend and cause, or each kind of refused request: the
// first at once, the next after ten seconds at the earliest. It does not know what runs
// the loops.
package notice

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"lb/board"
	"lb/loop/tick"
	"lb/supervise/plan"
)

// lookEvery is how often the board is read.
const lookEvery = time.Second

// Options say what to tell about.
type Options struct {
	Board *board.Board
	View  func() *plan.Snapshot // the one in use; any goroutine calls it
	Log   *slog.Logger
	Now   func() tick.Instant // the clock of the board
}

// Notices reads a board until it is closed.
type Notices struct {
	o        Options
	backends map[int]*faults
	refused  map[uint64]*tally
	examples map[uint64]board.Refusal
	open     map[string]bool // pools that use backends that are down
	leaving  map[int]bool    // IDs of backends that ask for no new clients

	stop context.CancelFunc
	done sync.WaitGroup
}

// faults are those of one backend.
type faults struct {
	pool, name string
	by         [len(board.FaultReasons)]tally
}

// Start begins to tell what happens from now on. The board has to stay until Close has
// returned.
func Start(o Options) *Notices {
	n := New(o)
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.done.Go(func() {
		every := time.NewTicker(lookEvery)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				n.Look(time.Now(), false)
			case <-ctx.Done():
				n.Look(time.Now(), true)
				return
			}
		}
	})
	return n
}

// New returns notices that Look alone writes. What is on the board already counts as
// told.
func New(o Options) *Notices {
	n := &Notices{o: o, backends: map[int]*faults{}, refused: map[uint64]*tally{}, examples: map[uint64]board.Refusal{}}
	for id := range o.Board.Backends() {
		f := &faults{}
		n.backends[id] = f
		for i, count := range countsOf(o.Board, id) {
			f.by[i].seen = count
		}
	}
	for kind, r := range n.refusals() {
		n.refused[kind] = &tally{seen: r.Count}
	}
	return n
}

// Close tells what has not been told, and ends the reading. It may be called again, and
// for nil.
func (n *Notices) Close() {
	if n != nil {
		n.stop()
		n.done.Wait()
	}
}

// Look reads the board and tells what is due; with last, everything. wall is the time of
// day. Only one goroutine may call it.
func (n *Notices) Look(wall time.Time, last bool) {
	now, view := n.o.Now(), n.o.View()
	for i, pool := range view.Config.Pools {
		for j, b := range pool.Backends {
			n.lookAt(view.IDs[i][j], pool.Name, b.String(), now, wall, last)
		}
	}
	n.lookAtPools(view, now)
	refused := n.refusals()
	for _, kind := range slices.Sorted(maps.Keys(refused)) {
		n.tellRefused(kind, refused[kind], now, wall, last)
	}
}

// lookAt tells what is due about one backend.
func (n *Notices) lookAt(id int, pool, name string, now tick.Instant, wall time.Time, last bool) {
	f := n.backends[id]
	if f == nil || f.name != "" && (f.pool != pool || f.name != name) { // the ID had another owner
		f = &faults{}
		n.backends[id] = f
	}
	f.pool, f.name = pool, name
	state := n.o.Board.State(id)
	for i, count := range countsOf(n.o.Board, id) {
		t, why := &f.by[i], board.FaultReasons[i]
		if count != t.seen {
			fault, _ := state.LastFaultOf(why)
			t.look(count, board.Wall(uint64(fault.At), int64(now), wall), Words(fault))
		}
		if t.due(now, last) {
			args := []any{"pool", pool, "backend", name, "cause", why.String(), "count", t.untold,
				"since", t.sinceText(), "last", t.last}
			if t.first != t.last {
				args = append(args, "first", t.first)
			}
			n.o.Log.Warn("backend fails", append(args, "mend", mend(why))...)
			t.taken(now)
		}
	}
}

// countsOf returns how often a backend has failed for each of board.FaultReasons.
func countsOf(b *board.Board, id int) [len(board.FaultReasons)]uint64 {
	t := b.BackendTotals(id)
	s := b.State(id)
	counts := [len(board.FaultReasons)]uint64{t.ConnectFaults, t.TimeoutFaults, t.ResetFaults, t.BadAnswers, s.StatusFaults.Load()}
	for i := range s.TLSFaults {
		counts[len(counts)-len(s.TLSFaults)+i] = s.TLSFaults[i].Load()
	}
	return counts
}

// refusals returns the sums over all loops, each with the newest example.
func (n *Notices) refusals() map[uint64]board.Refusal {
	sums := map[uint64]board.Refusal{}
	for i := range n.o.Board.Loops() {
		n.o.Board.Refusals(i).Each(func(r board.Refusal) {
			if old := sums[r.Kind]; old.At > r.At {
				old.Count += r.Count
				sums[r.Kind] = old
				return
			}
			r.Count += sums[r.Kind].Count
			sums[r.Kind] = r
		})
	}
	return sums
}

// tellRefused tells what is due about one kind of refused requests. What a client does
// wrong is no reason to warn.
func (n *Notices) tellRefused(kind uint64, r board.Refusal, now tick.Instant, wall time.Time, last bool) {
	t := n.refused[kind]
	if t == nil {
		t = &tally{}
		n.refused[kind] = t
	}
	if r.Text != "" {
		n.examples[kind] = r
	}
	t.look(r.Count, wall, "")
	if !t.due(now, last) {
		return
	}
	eg := n.examples[kind]
	if how, ok := board.OfHandshake(kind); ok {
		n.tellHandshakes(how, t, eg)
		t.taken(now)
		return
	}
	if why, ok := board.OfPreamble(kind); ok {
		n.o.Log.Warn("connections refused for their PROXY header", "reason", eg.Text, "count", t.untold, "since", t.sinceText(),
			"client", eg.Client, "mend", preambleMends[why])
		t.taken(now)
		return
	}
	if why, ok := board.OfConn(kind); ok {
		n.tellConns(why, t, eg)
		t.taken(now)
		return
	}
	if board.OfFlood(kind) {
		n.o.Log.Warn("connections cut off for a flood", "kind", eg.Text, "count", t.untold, "since", t.sinceText(), "client", eg.Client,
			"mend", "if the client is a good one, see docs/http2.md")
		t.taken(now)
		return
	}
	code := int(kind & 0xffff)
	args := []any{"status", code, "reason", eg.Text, "count", t.untold, "since", t.sinceText(), "client", eg.Client}
	if eg.Line != "" {
		args = append(args, "request", eg.Line)
	}
	level := slog.LevelInfo
	if code >= 500 && code != 501 && code != 505 {
		level = slog.LevelWarn
		args = append(args, "mend", "lb status shows the pool, lb faults such requests")
	}
	if kind == board.OtherKinds {
		args[1], args[3] = "any", "of many kinds, the last: "+eg.Text
	}
	n.o.Log.Log(context.Background(), level, "requests refused", args...)
	t.taken(now)
}

// preambleMends are for connections at listeners with proxy_protocol.
var preambleMends = [...]string{
	board.PreambleUntrusted: "if it is your load balancer, add its address to trusted_proxies; clients have to use another listener",
	board.PreambleMalformed: "let the load balancer send the PROXY protocol, v1 or v2, or take proxy_protocol off this listener",
	board.PreambleCut:       "look at the load balancer: it ended the connection",
	board.PreambleLate:      "let the load balancer send the PROXY protocol, v1 or v2, or take proxy_protocol off this listener",
}

// tellConns logs conns that were closed as soon as they were accepted. eg is the newest.
func (n *Notices) tellConns(why int, t *tally, eg board.Refusal) {
	args := []any{"reason", eg.Text, "count", t.untold, "since", t.sinceText(), "client", eg.Client}
	if why == board.ConnExcess {
		n.o.Log.Warn("connections refused", append(args, "mend", "raise limits.connections_per_client if the client is a good one")...)
		return
	}
	n.o.Log.Info("connections refused", args...)
}

// tellHandshakes tells of TLS handshakes with clients that have come to nothing. eg is the
// newest.
func (n *Notices) tellHandshakes(how board.Handshake, t *tally, eg board.Refusal) {
	args := []any{"reason", eg.Text, "count", t.untold, "since", t.sinceText(), "client", eg.Client}
	if how == board.HandshakeRefused { // lb's doing
		n.o.Log.Warn("tls handshakes refused", append(args, "mend", "see the certificates in lb status; for more handshakes at once, add workers")...)
		return
	}
	n.o.Log.Info("tls handshakes failed", args...)
}
