package board

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func read(r *Ring, from uint64) (list []string, next, lost uint64) {
	next, lost = r.Read(from, func(_ uint64, entry []byte) { list = append(list, string(entry)) })
	return list, next, lost
}

// TestRing: a ring has the last entries, says how many are gone, and gives out none that is
// not whole.
func TestRing(t *testing.T) {
	b := New(2, 1)
	r, other := b.FaultRing(0), b.SpanRing(0)
	if list, next, lost := read(r, 0); list != nil || next != 0 || lost != 0 {
		t.Errorf("an empty ring: %q, %d, %d", list, next, lost)
	}
	kept := int(r.kept())
	for i := range 3 * kept {
		r.Put(fmt.Appendf(nil, "entry %d", i))
	}
	list, next, lost := read(r, 5)
	if len(list) != kept || list[0] != fmt.Sprintf("entry %d", 2*kept) || next != uint64(3*kept) || lost != uint64(2*kept-5) {
		t.Errorf("%d entries from %q on, next %d, lost %d", len(list), list[0], next, lost)
	}
	r.Put(bytes.Repeat([]byte("x"), EntryMax+9))
	r.Put(nil)
	if list, _, lost := read(r, next); len(list) != 2 || len(list[0]) != EntryMax || list[1] != "" || lost != 0 {
		t.Errorf("%d entries, %d lost", len(list), lost)
	}
	words := r.slot(r.Next() - 2)
	words[entryHead+3] ^= 1 // as a loop leaves it that is killed
	if list, _, lost := read(r, next); len(list) != 1 || lost != 1 {
		t.Errorf("a torn entry: %q, %d lost", list, lost)
	}
	if list, next, lost := read(r, 1<<40); list != nil || next != r.Next() || lost != 0 {
		t.Errorf("from a number that never was: %q, %d, %d", list, next, lost)
	}
	if other.Next() != 0 || b.FaultRing(1).Next() != 0 || b.TapRing(0).Next() != 0 {
		t.Error("another ring has entries")
	}
}

// TestRingBeside: a reader beside the loop gets whole entries only, each once, in order.
func TestRingBeside(t *testing.T) {
	r := New(1, 1).TapRing(0)
	const most = 20_000
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := range most {
			r.Put([]byte(strings.Repeat(fmt.Sprintf("%05d ", i), 1+i%50)))
		}
	})
	var from, lost, got uint64
	for from < most {
		next, gone := r.Read(from, func(number uint64, entry []byte) {
			if want := strings.Repeat(fmt.Sprintf("%05d ", number), int(1+number%50)); string(entry) != want {
				t.Errorf("entry %d is %q", number, entry)
			}
			got++
		})
		from, lost = next, lost+gone
	}
	wait.Wait()
	if got+lost != most || got == 0 {
		t.Errorf("%d entries and %d lost of %d", got, lost, most)
	}
}

// TestLogRing: what is appended comes out once and in order, whole lines at a time; what
// has no room is refused whole.
func TestLogRing(t *testing.T) {
	r := New(1, 1).LogRing(0)
	var put, got bytes.Buffer
	for i := 0; put.Len() < 5*len(r.text); i++ {
		line := []byte(strings.Repeat(fmt.Sprint(i%10), i%3000) + "\n")
		for !r.Append(line) {
			first, rest := r.Pending()
			if len(first)+len(rest)+len(line) <= len(r.text) {
				t.Fatalf("%d bytes are refused beside %d", len(line), len(first)+len(rest))
			}
			n := (len(first) + len(rest)) / 2 // a writer that takes a part of a line
			all := append(bytes.Clone(first), rest...)
			got.Write(all[:n])
			r.Consume(n)
		}
		put.Write(line)
	}
	first, rest := r.Pending()
	got.Write(first)
	got.Write(rest)
	r.Consume(len(first) + len(rest))
	if !bytes.Equal(put.Bytes(), got.Bytes()) {
		t.Errorf("%d bytes came out of %d", got.Len(), put.Len())
	}
	if first, rest := r.Pending(); first != nil || rest != nil {
		t.Errorf("%d bytes are left", len(first)+len(rest))
	}
}

// TestAwaitLog: the writer sleeps until half of a ring waits, in whatever process.
func TestAwaitLog(t *testing.T) {
	b, f, err := Create(Size{Loops: 2, Backends: 1, Series: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	other, err := Open(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	b.ClaimLoop(1)
	b.AwaitLog([]int{0, 1}, time.Millisecond) // returns although nothing waits
	const far = time.Hour
	for range 20 {
		woken := make(chan struct{})
		go func() {
			defer close(woken)
			b.AwaitLog([]int{0, 1}, far)
		}()
		r := other.LogRing(1)
		line := bytes.Repeat([]byte("x"), 4000)
		for {
			first, rest := r.Pending()
			if len(first)+len(rest) >= len(r.text)/2 {
				break
			}
			r.Append(line)
		}
		<-woken
		first, rest := r.Pending()
		r.Consume(len(first) + len(rest))
	}
}

// TestAwaitLogOfOthers: a ring that another process reads, and that is full, keeps nobody awake.
func TestAwaitLogOfOthers(t *testing.T) {
	b := New(2, 1)
	r := b.LogRing(1)
	for r.Append(bytes.Repeat([]byte("x"), 4000)) {
	}
	const timeout = 20 * time.Millisecond
	began := time.Now()
	b.AwaitLog([]int{1}, time.Hour) // its reader has something to do
	for {                           // a loop may wake all, but does not when its ring is full already
		if b.AwaitLog([]int{0}, timeout); time.Since(began) >= timeout {
			break
		}
		if runtime.GOOS == "linux" {
			t.Fatalf("it returned after %v, without any line to read", time.Since(began))
		}
	}
}

// TestTap: all loops see the same filter, whatever it is.
func TestTap(t *testing.T) {
	tap := New(1, 1).Tap()
	if tap.Until.Load() != 0 {
		t.Error("a new tap is on")
	}
	for i, f := range []TapFilter{
		{}, {ID: "0197"}, {Client: netip.MustParsePrefix("192.0.2.0/24")}, {Client: netip.MustParsePrefix("2001:db8::1/128"), ID: strings.Repeat("a", 128)},
		{Client: netip.MustParsePrefix("0.0.0.0/0")}, {Client: netip.MustParsePrefix("::/0")},
	} {
		before := tap.Number()
		tap.Set(f, int64(1000+i))
		got, ok := tap.Filter()
		if !ok || got != f || tap.Until.Load() != uint64(1000+i) || tap.Number() == before {
			t.Errorf("%+v, %v until %d, want %+v", got, ok, tap.Until.Load(), f)
		}
	}
	tap.Set(TapFilter{}, 0)
	if tap.Until.Load() != 0 {
		t.Error("it is still on")
	}
}
