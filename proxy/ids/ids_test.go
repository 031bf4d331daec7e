package ids

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"lb/loop/tick"
)

// day is a time of day for tests.
var day = time.Date(2026, time.January, 2, 3, 4, 5, 678_900_000, time.UTC)

// maker returns a Maker whose time of day is day when the loop's clock is at 1 s.
func maker(seed byte) *Maker {
	return New([32]byte{seed}, func() time.Time { return day })
}

// version7 matches a UUID of version 7 (RFC 9562 4, 5.7).
var version7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestUUID: the form and the time of a UUID.
func TestUUID(t *testing.T) {
	m := maker(1)
	at := tick.Instant(time.Second)
	text := string(m.AppendUUID([]byte("x"), at))[1:]
	if len(text) != UUIDBytes || !version7.MatchString(text) {
		t.Errorf("%q", text)
	}
	for _, after := range []time.Duration{0, time.Millisecond, 999 * time.Millisecond, time.Hour} {
		m := maker(2)
		m.UUID(at) // asks for the time of day
		id := m.UUID(at.Add(min(after, lookEvery-1)))
		want := day.Add(min(after, lookEvery-1)).UnixMilli()
		if got := millis(id); got != want {
			t.Errorf("%v later: the time %d, want %d", after, got, want)
		}
	}
}

// millis returns the time in id.
func millis(id [16]byte) (ms int64) {
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return ms
}

// TestUUIDsAscend: each is greater than the one before, however many there are in a
// millisecond, and though the time of day goes back.
func TestUUIDsAscend(t *testing.T) {
	now := day
	m := New([32]byte{3}, func() time.Time { return now })
	at, last := tick.Instant(time.Second), ""
	for i := range 30_000 {
		switch {
		case i%10_000 == 9_999:
			now = now.Add(-time.Hour)
			at = at.Add(lookEvery)
		case i%3_000 == 0:
			at = at.Add(time.Millisecond)
		}
		id := m.UUID(at)
		if s := string(id[:]); s <= last {
			t.Fatalf("UUID %d: %x after %x", i, s, last)
		} else {
			last = s
		}
		if id[6]>>4 != 7 || id[8]>>6 != 0b10 {
			t.Fatalf("UUID %d: %x", i, id)
		}
	}
}

// TestUUIDFollowsTheClock: the time of day is asked for again every second.
func TestUUIDFollowsTheClock(t *testing.T) {
	now, asked := day, 0
	m := New([32]byte{4}, func() time.Time { asked++; return now })
	at := tick.Instant(time.Second)
	m.UUID(at)
	now = now.Add(time.Hour)
	m.UUID(at.Add(lookEvery - 1))
	if asked != 1 {
		t.Errorf("asked %d times within a second", asked)
	}
	if got := millis(m.UUID(at.Add(lookEvery))); got != now.UnixMilli() {
		t.Errorf("the time %d, want %d", got, now.UnixMilli())
	}
}

// TestSeeds: other seeds make other ids, and the same one the same.
func TestSeeds(t *testing.T) {
	a, b, c := maker(1), maker(1), maker(2)
	at := tick.Instant(time.Second)
	if x := a.UUID(at); x != b.UUID(at) || x == c.UUID(at) {
		t.Error("an id does not follow from the seed")
	}
	if one, other := Seed(), Seed(); one == other {
		t.Error("two seeds are the same")
	}
}

// TestSpans: ids of traces and spans are different, and never all zeros.
func TestSpans(t *testing.T) {
	m := maker(5)
	spans, traces := map[[8]byte]bool{{}: true}, map[[16]byte]bool{{}: true}
	for range 1000 {
		s, id := m.SpanID(), m.TraceID()
		if spans[s] || traces[id] {
			t.Fatalf("%x or %x again", s, id)
		}
		spans[s], traces[id] = true, true
	}
}

// TestChance: 0 is never, 1 always, and a share about as often as it says.
func TestChance(t *testing.T) {
	m := maker(6)
	for _, share := range []float64{0, .25, 1} {
		n := 0
		for range 10_000 {
			if m.Chance(share) {
				n++
			}
		}
		if want := int(share * 10_000); n < want-300 || n > want+300 || share == 1 && n != 10_000 || share == 0 && n != 0 {
			t.Errorf("%v: %d of 10,000", share, n)
		}
	}
}

// TestIsRequest: what may be taken as an id.
func TestIsRequest(t *testing.T) {
	for id, want := range map[string]bool{
		"": false, "a": true, "01968c3e-7f7b-7c3a-b2f0-0123456789ab": true, "Root=1-67891233-abc;Self=1-2": true,
		"AZaz09-_.~:;+/=@|": true, strings.Repeat("a", RequestMax): true, strings.Repeat("a", RequestMax+1): false,
		"a b": false, "a\tb": false, "a\"b": false, "a\\b": false, "a,b": false, "a'b": false, "<a>": false, "a&b": false,
		"a\x00": false, "a\x7f": false, "\u00fc": false, "a%0a": false, "{a}": false, "`a`": false,
	} {
		if got := IsRequest([]byte(id)); got != want {
			t.Errorf("%q: %t, want %t", id, got, want)
		}
	}
}

// TestNoAllocations: nothing here allocates.
func TestNoAllocations(t *testing.T) {
	m := maker(7)
	d := make([]byte, 0, 200)
	parent := []byte(given)
	n := testing.AllocsPerRun(100, func() {
		d = m.AppendUUID(d[:0], 1)
		p, _ := ParseParent(parent)
		p.Span = m.SpanID()
		p.Trace = m.TraceID()
		d, _ = p.Append(d)
		text := SpanText(p.Span)
		if !IsRequest(d[:UUIDBytes]) || m.Chance(0) || text[0] == 0 {
			panic("no id")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkUUID measures one id as text.
func BenchmarkUUID(b *testing.B) {
	m := maker(8)
	d := make([]byte, 0, UUIDBytes)
	b.ReportAllocs()
	for b.Loop() {
		d = m.AppendUUID(d[:0], 1)
	}
}
