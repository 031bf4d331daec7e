package upstream

import (
	"slices"
	"testing"

	"lb/config"
)

// asker keeps what a pool asks for.
type asker struct {
	asked int
	list  []Share
	take  func(Table)
}

func (a *asker) ask(list []Share, take func(Table)) { a.asked, a.list, a.take = a.asked+1, list, take }

// TestTablesFrom: a pool in which a member has changed picks by the table before, and has only
// the keys of that member elsewhere, until its own has come; then it is as one that has made
// its table itself. It asks for that at once if the pool before was picked from, else when
// something is picked.
func TestTablesFrom(t *testing.T) {
	b := buildOf(config.HashOnKey, equal(20, 1)...)
	p, shared := b.pool()
	var a asker
	p.TablesFrom(a.ask)
	before := picks(t, p, 5000)
	if a.asked > 0 {
		t.Fatal("the first pool has nothing to go by but its own table")
	}
	gone := b.Backends[3].String()
	for i := range 3 { // what is new comes first: all indexes move
		next := b.Backends[len(b.Backends)-1]
		next.Port = 81 + i
		b.Backends = append([]config.Backend{next}, slices.DeleteFunc(slices.Clone(b.Backends), func(o config.Backend) bool {
			return o.String() == gone || o.Port == next.Port-1 && o.Port > 80
		})...)
		q := b.on(shared, 0)
		q.TablesFrom(a.ask)
		q.ContinueFrom(p)
		p = q
	}
	if a.asked != 1 {
		t.Errorf("it has asked %d times, want once, since only the first pool was picked from", a.asked)
	}
	p.Peek(Ask{Key: 1}, start)
	if a.asked != 1 {
		t.Error("a look asks for the table")
	}
	late := picks(t, p, 5000)
	for i := range late {
		if late[i] != before[i] && before[i] != gone {
			t.Fatalf("key %d was at %s, which stays, and is at %s", i, before[i], late[i])
		}
	}
	if a.asked != 2 {
		t.Fatalf("it has asked %d times", a.asked)
	}
	a.take(MakeTable(a.list, nil))
	own := b.on(shared, 0)
	if !slices.Equal(picks(t, p, 5000), picks(t, own, 5000)) {
		t.Error("with its table it is another pool than one that has made it itself")
	}
}

// TestTablesFromWeight: a weight that is changed at run time counts at once, and a table that
// was made without it comes too late.
func TestTablesFromWeight(t *testing.T) {
	b := buildOf(config.HashOnKey, equal(10, 1)...)
	p, shared := b.pool()
	picks(t, p, 1)
	b.Backends[0].Port = 81
	q, a := b.on(shared, 0), asker{}
	q.TablesFrom(a.ask)
	q.ContinueFrom(p)
	picks(t, q, 1)
	shared.SetWeight(1, 9)
	picks(t, q, 1)
	a.take(MakeTable(a.list, nil))
	if !slices.Equal(picks(t, q, 2000), picks(t, b.on(shared, 0), 2000)) {
		t.Error("it does not go by the weight of the moment")
	}
}

// TestTablesFromOthers: a pool of which less than half stays makes its table at once.
func TestTablesFromOthers(t *testing.T) {
	b := buildOf(config.HashOnKey, equal(10, 1)...)
	p, shared := b.pool()
	picks(t, p, 1)
	for i := range 6 {
		b.Backends[i].Port = 81
	}
	q, a := b.on(shared, 0), asker{}
	q.TablesFrom(a.ask)
	q.ContinueFrom(p)
	if !slices.Equal(picks(t, q, 2000), picks(t, b.on(shared, 0), 2000)) || a.asked > 0 {
		t.Error("it goes by the table before")
	}
}

// TestMakeTableRests: it rests many times, and the table is the same.
func TestMakeTableRests(t *testing.T) {
	list, rests := sharesOf(entriesOf(buildOf(config.HashOnKey, equal(100, 1)...).Backends)), 0
	if !slices.Equal(MakeTable(list, func() { rests++ }), MakeTable(list, nil)) || rests < 10 {
		t.Errorf("%d rests", rests)
	}
}
