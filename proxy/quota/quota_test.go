package quota

import (
	"testing"
	"time"

	"lb/board"
	"lb/board/tally"
	"lb/config"
	"lb/loop"
	"lb/loop/looptest"
	"lb/loop/tick"
	"lb/upstream"
)

// request stands for an exchange.
type request struct {
	link  upstream.WaitLink[*request]
	place Place[*request]
	waits bool
	woken int
}

func (*request) Since() tick.Instant { return 1 }
func (r *request) Wake()             { r.woken++ }

// ask has r enter q, or wait.
func (r *request) ask(q *Quota[*request]) bool {
	if r.place.q == nil && !r.place.in {
		r.place.Of(q)
	}
	if r.place.Enter(r, &r.link, &r.waits) {
		return true
	}
	if !r.waits {
		r.waits = r.place.Room(nil).Put(&r.link, r, false)
	}
	return false
}

// node is one loop with the quotas of its routes.
type node struct {
	k   *looptest.Kernel
	l   *loop.Loop
	set Set[*request]
}

func nodes(n int) (b *board.Board, list []*node) {
	b = board.New(n, 0)
	for slot := range n {
		k := looptest.New(1)
		o := &node{k: k, l: loop.New(k, loop.Options{})}
		o.set.Init(o.l, b, slot)
		list = append(list, o)
	}
	return b, list
}

func routes(most int) []config.Route {
	return []config.Route{{Path: "/"}, {Path: "/slow", Methods: []string{"GET"}, RequestsMax: most}}
}

// TestQuota: requests of all loops together are no more than requests_max; of those that wait
// in a loop the first is woken when one ends there, or looks by itself when it was elsewhere.
func TestQuota(t *testing.T) {
	b, all := nodes(2)
	q := all[0].set.Use(routes(2))
	p := all[1].set.Use(routes(2))
	if q[0] != nil || q[1] == nil {
		t.Fatalf("quotas %v", q)
	}
	var r [6]request
	if !r[0].ask(q[1]) || !r[1].ask(p[1]) || r[2].ask(q[1]) || r[3].ask(q[1]) || r[4].ask(p[1]) {
		t.Error("not the first two have entered")
	}
	if b.Totals().RoutesWait != 3 {
		t.Errorf("%d wait, want 3", b.Totals().RoutesWait)
	}
	r[0].place.Leave()
	if r[2].woken != 1 || r[3].woken != 0 || r[3].ask(q[1]) || !r[2].ask(q[1]) {
		t.Error("not the first has its turn")
	}
	r[2].place.Leave()
	all[1].k.Pass(all[1].l, 100*time.Millisecond)
	if r[4].woken == 0 || !r[4].ask(p[1]) {
		t.Error("the room of another loop is not found")
	}
	if f := r[3].place.Crowded(); f.Detail == 0 {
		t.Error("one that waits for its route is taken for one that waits for a backend")
	}
	if b.TakeOver(1); !r[3].ask(q[1]) || !r[5].ask(q[1]) { // which had r[1] and r[4]
		t.Error("a loop that has ended keeps places")
	}
	if b.Totals().RoutesWait != 0 {
		t.Errorf("%d wait", b.Totals().RoutesWait)
	}
}

// TestUse: a route keeps its quota as long as its conditions stay; without requests_max those
// that wait go on.
func TestUse(t *testing.T) {
	b, all := nodes(1)
	n := all[0]
	q := n.set.Use(routes(1))[1]
	var r [3]request
	r[0].ask(q)
	r[1].ask(q)
	r[2].ask(q)
	more := routes(2)
	more[0], more[1] = more[1], more[0]
	if n.set.Use(more)[0] != q || r[1].woken == 0 || !r[1].ask(q) || r[2].ask(q) {
		t.Error("the route has another quota, or not its room")
	}
	if n.set.Use(routes(0)) != nil || !r[2].ask(q) {
		t.Error("one waits for a route without requests_max")
	}
	for i := range r {
		r[i].place.Leave()
	}
	if tally.Sum(b, q.key) != 0 {
		t.Errorf("%d are left", tally.Sum(b, q.key))
	}
}

// TestIdentity: routes with other conditions are others.
func TestIdentity(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range []config.Route{{}, {Host: "a"}, {Path: "/a"}, {Scheme: "http"}, {Methods: []string{"GET"}}, {Headers: []config.Field{{Name: "a", Value: "b"}}}} {
		id := Identity(&r)
		if seen[id] {
			t.Errorf("%+v is another one", r)
		}
		seen[id] = true
	}
}
