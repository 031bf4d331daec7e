//go:build !linux

package board

import "os"

// sharedFile returns size zero bytes to be mapped.
func sharedFile(size int) (*os.File, error) { return unlinkedFile(size) }
