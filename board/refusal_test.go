package board

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// kinds returns what Each finds, by kind.
func kinds(r *Refusals) map[uint64]Refusal {
	all := map[uint64]Refusal{}
	r.Each(func(one Refusal) { all[one.Kind] = one })
	return all
}

// TestRefusals: every request counts; the example is replaced once a second, and has as
// much of each text as there is room for.
func TestRefusals(t *testing.T) {
	b := New(2, 0)
	r := b.Refusals(1)
	long := strings.Repeat("x", 100)
	second := int64(time.Second)
	r.Note(400, 5*second, []byte("10.0.0.1"), "bare LF", []byte("GET /\x00"))
	r.Note(400, 5*second+1, []byte("10.0.0.2"), "bare LF", nil)
	r.Note(503, 5*second, []byte(long), long, []byte(long))
	got := kinds(r)
	want := Refusal{Kind: 400, Count: 2, At: 5 * second, Client: "10.0.0.1", Text: "bare LF", Line: "GET /\x00"}
	if got[400] != want {
		t.Errorf("got %+v, want %+v", got[400], want)
	}
	want = Refusal{503, 1, 5 * second, long[:RefusedClientMax], long[:RefusedTextMax], long[:RefusedLineMax]}
	if got[503] != want {
		t.Errorf("got %+v, want %+v", got[503], want)
	}
	r.Note(400, 6*second, nil, "", nil)
	if got := kinds(r)[400]; got != (Refusal{Kind: 400, Count: 3, At: 6 * second}) {
		t.Errorf("a second later: %+v", got)
	}
	if others := kinds(b.Refusals(0)); len(others) != 0 {
		t.Errorf("the other loop has %v", others)
	}
}

// TestRefusalsOfManyKinds: those that find no cell share the last one.
func TestRefusalsOfManyKinds(t *testing.T) {
	r := New(1, 0).Refusals(0)
	for kind := range uint64(refusalKinds + 8) {
		r.Note(kind+1, 1, nil, fmt.Sprint(kind+1), nil)
	}
	got := kinds(r)
	if len(got) != refusalKinds || got[OtherKinds].Count != 9 {
		t.Errorf("%d kinds, %d of others, want %d and 9", len(got), got[OtherKinds].Count, refusalKinds)
	}
}

// TestRefusalHalfWritten: a loop that died while it wrote an example costs that example
// only, and its successor writes the next.
func TestRefusalHalfWritten(t *testing.T) {
	r := New(1, 0).Refusals(0)
	r.Note(400, 1, nil, "one", nil)
	r.cells[0].turn.Add(1)
	if got := kinds(r)[400]; got.Count != 1 || got.Text != "" {
		t.Errorf("half written: %+v", got)
	}
	r.Note(400, 1+int64(time.Second), nil, "two", nil)
	if got := kinds(r)[400]; got.Count != 2 || got.Text != "two" {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestNoteNoAlloc(t *testing.T) {
	b := New(1, 1)
	r, who, line, now := b.Refusals(0), []byte("10.0.0.1"), []byte("GET / HTTP/1.1"), int64(0)
	if n := testing.AllocsPerRun(100, func() {
		now += int64(time.Second)
		r.Note(400, now, who, "bare LF", line)
		b.State(0).NoteFault(ReasonReset, 0, 0, now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLastFaults: the last fault for each reason, and of all reasons, comes back.
func TestLastFaults(t *testing.T) {
	s := New(1, 1).State(0)
	if _, any := s.LastFault(); any {
		t.Error("a fault from the beginning")
	}
	for i, why := range FaultReasons {
		f := LastFault{Why: why, Phase: uint8(i), Detail: uint16(1000 * i), At: int64(i+1) * 1 << 50}
		s.NoteFault(f.Why, f.Phase, f.Detail, f.At)
		if got, any := s.LastFaultOf(why); !any || got != f {
			t.Errorf("got %+v, want %+v", got, f)
		}
		if got, _ := s.LastFault(); got != f {
			t.Errorf("the last is %+v, want %+v", got, f)
		}
	}
	s.NoteFault(ReasonConnect, 15, 1<<16-1, 1<<60)
	if got, _ := s.LastFault(); got.Phase != 15 || got.Detail != 1<<16-1 || got.At != 1<<60 {
		t.Errorf("the greatest: %+v", got)
	}
}
