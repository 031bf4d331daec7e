//go:build !linux

package crew

import "sync"

// workerPIDs are of use where lb may be process 1.
var workerPIDs = struct {
	sync.Mutex
	running map[int]bool
}{running: map[int]bool{}}

// ReapOrphans does nothing: lb is not process 1 here.
func ReapOrphans() {}
