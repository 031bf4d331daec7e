//go:build !linux

package metrics

import "runtime"

// giveWay lets goroutines go first that wait for a thread.
func giveWay() { runtime.Gosched() }
