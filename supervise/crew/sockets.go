package crew

import (
	"os"
	"slices"
)

// Connections are divided by the system, which goes by a hash: a few that stay
// for long can all be with one loop. A loop that has clearly more than its share
// passes on what it accepts (package proxy has the rule), here to another engine
// of the same process, or to the supervisor, which passes it on to another
// worker. A conn on its way has one owner, who closes the descriptor when nobody
// takes it, and all queues are short: a loop that is refused keeps the conn.

// socketNumbers gives listening sockets numbers, by which two processes mean the
// same one.
type socketNumbers struct {
	last  uint64
	known map[*os.File]uint64
}

// deal returns the numbers of the sockets of each loop. The numbers of others
// are forgotten.
func (n *socketNumbers) deal(files [][]*os.File) (numbers [][]uint64) {
	known := map[*os.File]uint64{}
	for _, dealt := range files {
		list := make([]uint64, len(dealt))
		for i, f := range dealt {
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

// newSockets returns those of files, whose numbers are wanted, that are not
// among known.
func newSockets(wanted, known []uint64, files []*os.File) (fresh []*os.File) {
	for i, number := range wanted {
		if !slices.Contains(known, number) {
			fresh = append(fresh, files[i])
		}
	}
	return fresh
}
