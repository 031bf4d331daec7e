package looptest

import (
	"time"

	"lb/loop"
	"lb/loop/tick"
)

// Wait runs what is due, then fills events. If there is nothing to report it moves
// the clock to the next task, or to the timeout.
func (k *Kernel) Wait(events []loop.Event, timeout time.Duration) (n int, err error) {
	if len(events) == 0 {
		k.misuse("wait without room for events")
	}
	k.stalled = false
	k.now = k.now.Add(k.upTo(k.Faults.Creep))
	var deadline tick.Instant
	if timeout > 0 {
		deadline = k.now.Add(timeout)
	}
	if k.chance(k.Faults.Spurious) {
		k.surprise()
	}
	for {
		k.advanceTo(k.now)
		n = k.collect(events)
		woken := k.woken.Swap(false)
		switch {
		case n > 0, woken, timeout == 0, deadline != 0 && k.now >= deadline:
			return n, nil
		case k.chance(k.Faults.Spurious):
			return 0, nil // early, as if interrupted
		case !k.skip(deadline):
			k.stalled = true
			k.tracef("stalled")
			return 0, nil
		}
	}
}

// Wake ends the current or the next Wait. Any goroutine may call it.
func (k *Kernel) Wake() { k.woken.Store(true) }

// collect fills events: changes of sockets in order, then listeners.
func (k *Kernel) collect(events []loop.Event) (n int) {
	if k.Faults.Shuffle {
		k.rng.Shuffle(len(k.ready), func(i, j int) { k.ready[i], k.ready[j] = k.ready[j], k.ready[i] })
	}
	put := func(e loop.Event) {
		k.tracef("event %d as %d: %s", e.FD, e.Gen, flagNames(e.Flags))
		events[n] = e
		n++
	}
	for ; len(k.stale) > 0 && n < len(events); k.stale = k.stale[1:] {
		put(k.stale[0])
	}
	for ; len(k.ready) > 0 && n < len(events); k.ready = k.ready[1:] {
		s := k.ready[0]
		if f := s.event(); f != 0 {
			put(loop.Event{FD: int32(s.fd), Gen: s.gen, Flags: f})
		}
	}
	for _, l := range k.listeners {
		if l.watched && len(l.queue) > 0 && n < len(events) {
			put(loop.Event{FD: int32(l.fd), Gen: l.gen, Flags: loop.Readable})
		}
	}
	return n
}

// surprise makes an event without a change for one random socket. Readable may be
// wrong then, as after a bad checksum; the other flags are right.
func (k *Kernel) surprise() {
	if len(k.files) == 0 {
		return
	}
	s := k.files[k.rng.IntN(len(k.files))].sock
	if s == nil || !s.watched || s.other == nil || s.gone {
		return
	}
	k.tracef("surprise for %d", s.fd)
	k.stale = append(k.stale, loop.Event{FD: int32(s.fd), Gen: s.gen, Flags: s.state() | loop.Readable})
}
