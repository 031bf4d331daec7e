//go:build race

package board

import "sync/atomic"

// store writes one aligned word in a way that the race detector understands.
func store(p *uint64, v uint64) { atomic.StoreUint64(p, v) }
