// Package board is the words that loops and the control plane share: counters
// per loop, and per backend and loop. One layout of atomic 64-bit words, on the
// heap in mt, in a shared memory file in mp, where it outlives a worker. A
// counter has one writer, its loop; readers add the slots up.
package board

import "sync/atomic"

// Counter is one word with one writer: a plain load and an atomic store.
type Counter struct{ w uint64 }

// Add adds n. Only the loop that owns the slot may call it.
func (c *Counter) Add(n uint64) { atomic.StoreUint64(&c.w, c.w+n) }

// Sub takes n off, for gauges.
func (c *Counter) Sub(n uint64) { atomic.StoreUint64(&c.w, c.w-n) }

// Load returns the value; any goroutine or process may call it.
func (c *Counter) Load() uint64 { return atomic.LoadUint64(&c.w) }

// Loop is the slot of one loop. Gauges are set to zero when a loop takes the
// slot over; the rest goes on counting.
type Loop struct {
	ClientConns  Counter // gauge: open client conns
	BackendConns Counter // gauge: open backend conns, idle ones included
	BackendIdle  Counter // gauge: idle ones
	Exchanges    Counter // gauge: at work
	Tunnels      Counter // gauge: upgraded

	Accepted                         Counter // client conns
	AcceptErrors                     Counter
	Requests                         Counter    // whole request heads
	Replies                          [6]Counter // by status class: [1] 1xx ... [5] 5xx, to clients, own ones included
	OwnReplies                       [6]Counter // by status class, made by lb itself
	BytesFromClient, BytesToClient   Counter
	BytesFromBackend, BytesToBackend Counter
	Retries                          Counter
	ClientAborts                     Counter // the client went away inside an exchange
	Panics                           Counter
	Turns                            Counter
}

// Backend is the slot of one backend in one loop.
type Backend struct {
	InFlight                                              Counter // gauge: attempts at work
	Attempts                                              Counter
	Replies                                               [6]Counter // final responses by status class
	ConnectFaults, ResetFaults, TimeoutFaults, BadAnswers Counter
	Conns                                                 Counter // connections dialled
	BytesFrom, BytesTo                                    Counter
}
