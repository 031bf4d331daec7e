//go:build !linux

package board

import "time"

// sleepLog returns soon, because nothing wakes it: see logring_linux.go.
func sleepLog(_ *uint64, timeout time.Duration) { time.Sleep(min(timeout, 5*time.Millisecond)) }

func wakeLog(*uint64) {}

func wake(*uint64) {}
