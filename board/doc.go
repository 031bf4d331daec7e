// Package board holds the words that loops and the control plane share: counters
// per loop, counters per backend and loop, and the state of each backend. It is one
// layout of atomic 64-bit words. In shared memory it outlives a worker and, handed
// over at an upgrade, the supervisor. A counter has one writer, its loop, and
// readers add the slots up; a word of a state has several writers, see State. The
// package does not know what a configuration is: a backend is a number, its ID, and
// others know which pool it belongs to or who had the ID before.
//
// # Room and use
//
// The problem: a reload adds backends, an upgrade runs a second set of loops besides
// the first, and memory that several processes have mapped cannot move or grow. The
// choice: a board is created far larger than its configuration (Room), and sparse.
// ClaimLoop and ClaimBackend raise two words of the header that say how much is in
// use. Nothing beyond that is touched, not even read, because reading a page of a
// memfd allocates it.
//
// Each backend has a block: its state, then a line for every loop there is room
// for. So the words that a pick adds up lie in a row, and a new backend costs one
// or two pages. A block has an odd number of lines: with an even number, the same
// word of many backends would fall into a few sets of the cache.
//
// What it costs: address space (562 MB with room for 64 loops), which core dumps
// leave out; and memory by the page, some 4 KiB a backend with up to 30 loops,
// where packed words would take 0.5 KiB with 2. Adding up is as fast as with words
// packed loop by loop, or faster (1,000 backends on 2 loops: 1.9 us either way; 4
// on 64: 100 ns against 140), except for 1,000 backends on 64 loops, 84 us against
// 69. Where shared files are not sparse, the room is smaller and is written at
// once. What would change our mind: pools of thousands of backends becoming common;
// then the lines of the first few loops should be packed.
package board
