package crew

import (
	"os"
	"slices"

	"lb/supervise/listen"
	"lb/supervise/plan"
)

// The system divides connections by a hash, so that a few long ones can all be with
// one loop. A loop that has clearly more than its share passes on what it accepts
// (package proxy has the rule): to another engine of its process, or to the
// supervisor, which passes it on to another worker. A conn on its way has one owner,
// which closes the descriptor if no loop takes it. All queues are short: a loop that
// is refused keeps the conn.

// hand is the sockets of one loop.
type hand struct {
	files     []*os.File
	listeners []string // the address of the listener of each, as configured
}

func (h *hand) add(f *os.File, listener string) {
	h.files, h.listeners = append(h.files, f), append(h.listeners, listener)
}

// deal returns the sockets of each of n loops. sets are those of the listeners of s.
func deal(s *plan.Snapshot, sets []*listen.Set, n int) []hand {
	hands := make([]hand, n)
	for i, l := range s.Config.Listening() {
		for place, files := range sets[i].Deal(n) {
			for _, f := range files {
				hands[place].add(f, l.Address)
			}
		}
	}
	return hands
}

// socketNumbers numbers listening sockets, so that two processes can name the same
// one.
type socketNumbers struct {
	last  uint64
	known map[*os.File]uint64
}

// deal returns the numbers of the sockets of each loop, and forgets the numbers of
// all others.
func (n *socketNumbers) deal(hands []hand) (numbers [][]uint64) {
	known := map[*os.File]uint64{}
	for _, dealt := range hands {
		list := make([]uint64, len(dealt.files))
		for i, f := range dealt.files {
			number := known[f]
			if number == 0 {
				number = n.known[f]
			}
			if number == 0 {
				n.last++
				number = n.last
			}
			known[f], list[i] = number, number
		}
		numbers = append(numbers, list)
	}
	n.known = known
	return numbers
}

// newSockets returns the files whose numbers are not among known. wanted are the
// numbers of files.
func newSockets(wanted, known []uint64, files []*os.File) (fresh []*os.File) {
	for i, number := range wanted {
		if !slices.Contains(known, number) {
			fresh = append(fresh, files[i])
		}
	}
	return fresh
}
