package upstream

import (
	"testing"
	"time"

	"lb/board"
	"lb/config"
)

// bad is an answer that the client gets for the target.
func bad(client, target string) Fault {
	return Fault{Why: board.ReasonBadAnswer, Client: Hash([]byte(client)), Target: Hash([]byte(target))}
}

// TestCondemned: which runs of three faults eject a backend that has given good answers
// before.
func TestCondemned(t *testing.T) {
	refused := Fault{Why: board.ReasonConnect, Own: true}
	status := Fault{Why: board.ReasonStatus, Detail: 503}
	repeat := func(f Fault, n int) (list []Fault) {
		for range n {
			list = append(list, f)
		}
		return list
	}
	for name, tc := range map[string]struct {
		good   int // answers before
		faults []Fault
		want   int // after how many of these it is ejected; 0: never
	}{
		"a dead backend, without any answer before": {0, repeat(bad("a", "/"), 3), 3},
		"refused":                     {100, repeat(refused, 3), 3},
		"one client, one target":      {100, repeat(bad("a", "/odd"), 8), 0},
		"one client, many targets":    {100, []Fault{bad("a", "/1"), bad("a", "/2"), bad("a", "/3"), bad("a", "/4")}, 0},
		"many clients, one target":    {100, []Fault{bad("a", "/1"), bad("c", "/1"), bad("d", "/1"), bad("e", "/1")}, 0},
		"several of both":             {100, []Fault{bad("a", "/1"), bad("a", "/1"), bad("c", "/2")}, 3},
		"several, but too few":        {100, []Fault{bad("a", "/1"), bad("c", "/2")}, 0},
		"several at last":             {100, []Fault{bad("a", "/1"), bad("a", "/2"), bad("a", "/3"), bad("a", "/4"), bad("c", "/4")}, 5},
		"most of the last answers":    {100, repeat(bad("a", "/odd"), 20), 9},
		"most of the few there are":   {4, repeat(bad("a", "/odd"), 20), 5},
		"a status":                    {100, repeat(status, 20), 9},
		"refusals among bad answers":  {100, []Fault{refused, bad("a", "/"), bad("a", "/"), refused, bad("a", "/"), refused}, 6},
		"bad answers do not help one": {100, []Fault{bad("a", "/"), bad("a", "/"), refused}, 0},
	} {
		p, shared := buildOf(config.RoundRobin, 1, 1, 1).pool()
		shared.Backend(0, 1).Replies[0].Add(uint64(tc.good)) // of 2xx
		at := 0
		for i, f := range tc.faults {
			if _, ejected := p.Failed(1, f, start); ejected && at == 0 {
				at = i + 1
			}
		}
		if at != tc.want {
			t.Errorf("%s: ejected after %d, want after %d", name, at, tc.want)
		}
	}
}

// TestRecentAnswers: good answers of all loops between the bad ones count, those that have
// begun and broken do not, and a success ends the run.
func TestRecentAnswers(t *testing.T) {
	set := buildOf(config.RoundRobin, 1, 1, 1)
	set.loops = 2
	shared := board.New(2, 3)
	p := set.on(shared, 0)
	odd := bad("a", "/odd")
	for n := range 50 {
		shared.Backend(n%2, 1).Answered(2)
		if _, ejected := p.Failed(1, odd, start); ejected {
			t.Fatalf("ejected after %d answers, half of them good", n)
		}
	}
	odd.Begun = true
	for n := 1; ; n++ {
		shared.Backend(0, 1).Answered(2) // the broken one
		if _, ejected := p.Failed(1, odd, start); ejected {
			if n > 2 {
				t.Errorf("ejected after %d more", n)
			}
			break
		}
	}
	now := start.Add(10 * time.Second)
	may(p, now)
	p.Succeeded(1, time.Millisecond, now)
	if s := shared.State(1); s.Faults.Load()+s.Refusals.Load()+s.Clients.Load()+s.Targets.Load() != 0 {
		t.Error("the run does not end with a success")
	}
}

// TestOther: what is out, and whether there is another one.
func TestOther(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1).pool()
	var tried Tried
	if p.Out(0, start) || !p.Other(&tried, start) {
		t.Error("all are well")
	}
	tried.Add(1)
	fail(p, 0, 3, start)
	if !p.Out(0, start) || p.Out(1, start) || p.Other(&tried, start) {
		t.Error("backend 0 is ejected, and the other one has been tried")
	}
	shared.SetHealth(1, board.Down, board.ReasonConnect, 0, int64(start))
	if p.Out(0, start) || !p.Out(1, start) {
		t.Error("backend 1 is down, so that backend 0 is used")
	}
	shared.SetHealth(0, board.Down, board.ReasonConnect, 0, int64(start))
	if p.Out(0, start) || p.Out(1, start) || p.Other(&Tried{}, start) {
		t.Error("all are down: there is no better one")
	}
	shared.SetHealth(0, board.Up, board.ReasonOK, 0, int64(start))
	shared.SetHealth(1, board.Up, board.ReasonOK, 0, int64(start))
	shared.SetAdmin(1, board.Draining, int64(start))
	if p.Out(1, start) {
		t.Error("backend 1 is in a drain: what it has, it answers")
	}
}

// TestBudgetSpend: what no budget may refuse counts all the same.
func TestBudgetSpend(t *testing.T) {
	b := NewBudget(0.2, 3, window)
	for range 5 {
		b.Spend(second)
	}
	if b.Retry(second) {
		t.Error("a retry beyond the budget")
	}
}

// TestTargetHash: the query does not count, everything else of a short path does.
func TestTargetHash(t *testing.T) {
	seen := map[uint64]string{}
	for _, path := range []string{"", "/", "/a", "/b", "/ab", "/abcdef", "/abcdeg", "/abcdefg", "/abcdefgh", "/bbcdefgh",
		"/users/1/orders/7", "/users/1/orders/8", "/users/2/orders/7", "/users/11/orders/7"} {
		h := TargetHash([]byte(path))
		if other, taken := seen[h]; taken {
			t.Errorf("%q and %q have one hash", path, other)
		}
		seen[h] = path
		if TargetHash([]byte(path+"?")) != h || TargetHash([]byte(path+"?q=/x")) != h {
			t.Errorf("%q: the query counts", path)
		}
	}
}
