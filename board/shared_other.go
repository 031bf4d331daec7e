//go:build !linux

package board

import "os"

// roomForBackends returns how many backends to make room for. The whole file is
// written when the board is created, some 8 KiB a backend.
func roomForBackends(_, backends int) int { return max(1<<10, 2*backends) }

// sharedFile returns a file of size zero bytes to be mapped.
func sharedFile(size int) (*os.File, error) { return unlinkedFile(size) }

// advise does nothing: the file already has all its pages.
func advise([]byte) {}
