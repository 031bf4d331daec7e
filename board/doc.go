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
// The problem: a reload brings backends, an upgrade brings a second set of loops
// beside the first, and what several processes have mapped cannot be moved or
// grown. The choice: a board is created far larger than its configuration (Room)
// and sparse. ClaimLoop and ClaimBackend raise two words of the header that say
// how much is in use; beyond it nothing is touched, not even by reading, which
// would give the pages of a memfd their memory.
//
// Each backend has a block: its state, then a line for every loop there is room
// for. What a pick adds up lies in a row, and a new backend takes one page or two.
// A block has an odd number of lines: with an even one, the same word of many
// backends would fall into a few sets of the cache.
//
// What it costs: address space (562 MB with room for 64 loops), which core dumps
// leave out; memory by the page, so some 4 KiB a backend with up to 30 loops,
// where packed words would take 0.5 KiB with 2. Adding up is as fast as packed
// loop by loop or faster (1,000 backends on 2 loops: 1.9 us either way; 4 on 64:
// 100 ns against 140), but for 1,000 backends on 64 loops, 84 us against 69.
// Where shared files are not sparse memory the room is smaller, and written at once.
// What would change our mind: pools of thousands of backends becoming common;
// then the lines of the first few loops should lie together, packed.
package board
