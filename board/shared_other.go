//go:build !linux

package board

import "os"

// The whole file is written when the board is created: some 8 KiB a backend, 170 KiB a
// series and 3.3 MiB a loop.

// logBytes is how much of the access log waits for its writer in each loop.
const logBytes = 1 << 20

// tallySets is how many lines of 8 keys each a loop counts clients and routes in, a power
// of 2.
const tallySets = 1 << 8

// roomForLoops returns how many loops to make room for.
func roomForLoops(loops int) int { return max(16, 2*loops) }

// roomForSeries returns how many series to make room for.
func roomForSeries(series int) int { return max(64, 2*series) }

// roomForBackends returns how many backends to make room for.
func roomForBackends(_ shape, backends int) int { return max(1<<10, 2*backends) }

// sharedFile returns a file of size zero bytes to be mapped.
func sharedFile(size int) (*os.File, error) { return unlinkedFile(size) }

// advise does nothing: the file already has all its pages.
func advise([]byte) {}
