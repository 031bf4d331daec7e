package upstream

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"lb/board"
)

// Fault is a fault of a backend.
type Fault struct {
	Why    board.Reason
	Detail uint64 // what belongs to Why: a status code, or 0
	// Own: no request can have caused it, because no connection came about.
	Own bool
	// Client and Target are hashes of the client's address and of what it asked for.
	Client, Target uint64
	// Begun: the answer has begun, so that it counts in Replies.
	Begun bool
}

// TargetHash returns Fault.Target for the target of a request, of which the query does not
// count. Every request pays for it, so a long path counts by its length and three parts:
// paths that differ elsewhere count as one.
func TargetHash(target []byte) uint64 {
	n := bytes.IndexByte(target, '?')
	if n < 0 {
		n = len(target)
	}
	h := uint64(n)
	if n < 8 {
		for _, c := range target[:n] {
			h = h<<8 | uint64(c)
		}
		return avalanche(h)
	}
	h += binary.LittleEndian.Uint64(target) * prime1
	h += binary.LittleEndian.Uint64(target[(n-8)/2:]) * prime2
	h += binary.LittleEndian.Uint64(target[n-8:]) * prime3
	return avalanche(h)
}

// condemned adds f to the run of faults of a backend and reports whether the run
// ejects it. A bad answer may be the fault of the request: one client with one odd URL
// must not take a healthy backend from all others. So bad answers eject only if
// different clients got them and for different targets, or if the backend gives hardly
// any others.
func (r *roster) condemned(e *entry, f Fault) bool {
	s, limit := e.state, uint64(r.eject.Faults)
	run := s.Faults.Add(1)
	if f.Own {
		return s.Refusals.Add(1) >= limit
	}
	clients, targets := addBit(&s.Clients, f.Client), addBit(&s.Targets, f.Target)
	most := r.mostlyBad(e, f)
	return run >= limit && (clients && targets || most)
}

// addBit adds the bit of hash to a set and reports whether the set has several. Two
// hashes in 64 have the same bit, which makes an ejection one fault later.
func addBit(set *board.Word, hash uint64) (several bool) {
	bit := uint64(1) << (hash % 64)
	for {
		old := set.Load()
		if old&bit != 0 || set.CompareAndSwap(old, old|bit) {
			return old|bit != bit
		}
	}
}

// State.Recent: the lowest bits are the last answers, the newest lowest, 1 for bad; then
// how many of them are known; then how many good ones there had been when the last bad
// one came. Good ones are counted anyway, by each loop for itself, so that they cost
// nothing more.
const (
	recentMax  = 16
	recentMask = 1<<recentMax - 1
	knownShift = recentMax
	knownMask  = 31
	goodShift  = 24
	goodMask   = 1<<(64-goodShift) - 1
)

// mostlyBad notes a bad answer and reports whether more than half of the last answers
// were bad.
func (r *roster) mostlyBad(e *entry, f Fault) bool {
	total := r.goodAnswers(e.id)
	for {
		old := e.state.Recent.Load()
		good := (total - old>>goodShift) & goodMask
		if f.Begun && good > 0 {
			good-- // that is this one
		}
		good = min(good, recentMax)
		last := (old&recentMask<<good<<1 | 1) & recentMask
		known := min(recentMax, old>>knownShift&knownMask+good+1)
		if e.state.Recent.CompareAndSwap(old, total<<goodShift|known<<knownShift|last) {
			return 2*uint64(bits.OnesCount64(last)) > known
		}
	}
}

// goodAnswers returns how many answers other than 5xx a backend has given, over all
// loops.
func (r *roster) goodAnswers(id int) (sum uint64) {
	for loop := range r.board.Loops() {
		sum += r.board.Backend(loop, id).Good()
	}
	return sum
}
