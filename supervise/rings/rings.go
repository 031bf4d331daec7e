// Package rings reads what loops have put into the rings of the board: exchanges that
// failed or were slow, and those that the tap takes. It does not know what is in an entry,
// besides its time.
package rings

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lb/admin/api"
	"lb/board"
)

// pollEvery is how often a stream looks for new entries. Loops do not say that there are
// some: that would be a system call for each.
const pollEvery = 50 * time.Millisecond

// idMax is the length of the longest request id that a trace can ask for, in bytes.
const idMax = 128

// traceDefault is how long a trace goes on if the operator does not say.
const traceDefault = time.Minute

// Reader reads the rings of a board. Any goroutine may call its methods.
type Reader struct {
	// Look calls f with the board, which f must not use afterwards, or returns false if the
	// board is gone.
	Look func(f func(*board.Board)) bool
	// Now is the clock of the board, in nanoseconds.
	Now func() int64

	tracing atomic.Bool
}

// ring chooses a ring of each loop.
type ring func(b *board.Board, loop int) *board.Ring

// entry is one entry and the time at which its exchange ended.
type entry struct {
	at   time.Time
	text json.RawMessage
}

// Faults returns the newest exchanges of all loops that failed or were slow, most at most,
// in the order in which they ended. Those of loops that have crashed or were replaced are
// among them.
func (r *Reader) Faults(most int) []json.RawMessage {
	c := cursor{of: (*board.Board).FaultRing}
	var list []json.RawMessage
	r.Look(func(b *board.Board) { list, _ = c.read(b) })
	return newest(list, most)
}

// FollowFaults is that of api.Control.
func (r *Reader) FollowFaults(ctx context.Context, most int, each func(json.RawMessage)) error {
	r.follow(ctx, (*board.Board).FaultRing, most, nil, each)
	return nil
}

// Trace is that of api.Control.
func (r *Reader) Trace(ctx context.Context, ask api.TraceAsk, each func(json.RawMessage)) error {
	filter, err := filterOf(ask)
	if err != nil {
		return err
	}
	if ask.For == 0 {
		ask.For = traceDefault
	}
	if !r.tracing.CompareAndSwap(false, true) {
		return fmt.Errorf("another trace runs, and there can be one at a time; end that one first")
	}
	defer r.tracing.Store(false)
	ctx, cancel := context.WithTimeout(ctx, ask.For)
	defer cancel()
	until := r.Now() + int64(ask.For)
	defer r.Look(func(b *board.Board) {
		if b.Tap().Until.Load() == uint64(until) { // else another process has begun a trace
			b.Tap().Set(board.TapFilter{}, 0)
		}
	})
	begin := func(b *board.Board) { b.Tap().Set(filter, until) }
	r.follow(ctx, (*board.Board).TapRing, 0, begin, each)
	return nil
}

// filterOf returns the filter of a trace.
func filterOf(ask api.TraceAsk) (f board.TapFilter, err error) {
	switch {
	case ask.Client == "" && ask.ID == "":
		return f, api.AskError("whose exchanges? Name a client or a request id")
	case ask.For < 0 || ask.For > api.TraceMax:
		return f, api.AskError(fmt.Sprintf("a trace of %v is not possible; ask for %v at most", ask.For, api.TraceMax))
	case len(ask.ID) > idMax:
		return f, api.AskError(fmt.Sprintf("the request id has %d bytes; use %d at most", len(ask.ID), idMax))
	}
	f.ID = ask.ID
	if ask.Client == "" {
		return f, nil
	}
	if strings.Contains(ask.Client, "/") {
		f.Client, err = netip.ParsePrefix(ask.Client)
	} else {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(ask.Client); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			f.Client, err = addr.Prefix(addr.BitLen())
		}
	}
	if err != nil || !f.Client.IsValid() {
		return f, api.AskError(fmt.Sprintf("%q is neither an address nor a network; write 192.0.2.1 or 2001:db8::/32", ask.Client))
	}
	f.Client = f.Client.Masked()
	return f, nil
}

// follow calls each with nil, for the newest entries, most at most, and for those that are
// put into the rings from then on. begin, which may be nil, is called before those.
func (r *Reader) follow(ctx context.Context, of ring, most int, begin func(*board.Board), each func(json.RawMessage)) {
	c := cursor{of: of}
	var past []json.RawMessage
	if !r.Look(func(b *board.Board) {
		if past, _ = c.read(b); begin != nil {
			begin(b)
		}
	}) {
		return
	}
	each(nil)
	for _, text := range newest(past, most) {
		each(text)
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for last := false; !last; {
		select {
		case <-poll.C:
		case <-ctx.Done():
			last = true // what was put until now still counts
		}
		var come []json.RawMessage
		var lost uint64
		if !r.Look(func(b *board.Board) { come, lost = c.read(b) }) {
			return
		}
		if lost > 0 {
			each(fmt.Appendf(nil, `{"kind":"lost","lost":%d}`, lost))
		}
		for _, text := range come {
			each(text)
		}
	}
}

// cursor is how far the rings of all loops were read.
type cursor struct {
	of   ring
	next []uint64 // by loop
}

// read returns copies of the entries that were not read yet, in the order in which the
// exchanges ended, and how many are lost.
func (c *cursor) read(b *board.Board) (list []json.RawMessage, lost uint64) {
	var all []entry
	for loop := range b.Loops() {
		if loop == len(c.next) { // a slot that was claimed since then
			c.next = append(c.next, 0)
		}
		next, missed := c.of(b, loop).Read(c.next[loop], func(_ uint64, text []byte) {
			if e, ok := parse(text); ok {
				all = append(all, e)
			} else {
				lost++
			}
		})
		c.next[loop] = next
		lost += missed
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	list = make([]json.RawMessage, len(all))
	for i, e := range all {
		list[i] = e.text
	}
	return list, lost
}

// newest returns the last of list, most at most.
func newest(list []json.RawMessage, most int) []json.RawMessage {
	return list[max(0, len(list)-max(0, most)):]
}

// parse returns a copy of an entry, or false if it is no JSON, because it was cut.
func parse(text []byte) (e entry, ok bool) {
	var times struct {
		Time    time.Time `json:"time"`
		TotalUS int64     `json:"total_us"`
	}
	if json.Unmarshal(text, &times) != nil {
		return e, false
	}
	return entry{times.Time.Add(time.Duration(times.TotalUS) * time.Microsecond), bytes.Clone(text)}, true
}
