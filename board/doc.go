// Package board is the words that loops and the control plane share: counters
// per loop, and per backend and loop, and the state of each backend. One layout
// of atomic 64-bit words, in a shared memory file, where it outlives a worker and,
// handed over at an upgrade, the supervisor. A counter has one writer, its loop;
// readers add the slots up. A word of a state has several writers, see State.
// The package does not know what a configuration is: to it a backend is a number,
// its ID, and which pool's it is, or whose it was before, is known elsewhere.
//
// # Room and use
//
// The problem: a reload brings backends, an upgrade a second set of loops beside
// the first, and what is mapped in ten processes cannot be moved or grown. The
// choice: a board is created far larger than its configuration (Room), and
// is sparse; ClaimLoop and ClaimBackend raise two words of the header that say
// how much of it is in use, and nothing beyond those is ever touched, not even by
// reading, which would give a memfd its pages. A block per backend: its state, then a line
// for each loop there is room for, so that what is added up for a pick lies in a
// row, and what a new backend takes is one page or two. Each block has an odd number of
// lines: with an even one, the same word of many backends would fall into a few
// sets of the cache.
//
// What it costs: address space (some 560 MB for 64 loops), which core dumps leave
// out; memory by the page, 4 to 8 KiB a backend and 16 KiB of slots at most; a page
// per backend in the TLB too, which a scan of 1,000 backends feels. Where files
// are not sparse memory the room is smaller, and written at once. What would
// change our mind: machines on which thousands of backends in one pool are common, where
// the slots of the first loops should lie together.
package board
