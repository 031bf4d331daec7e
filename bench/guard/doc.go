// Command guard finds lb grown more expensive without measuring time: `just
// bench-guard`, or `go run ./bench/guard`.
//
// It runs benchmarks for a fixed number of times, counts what does not depend
// on how busy the machine is, allocations and, under valgrind, instructions,
// and fails when either is more than 3 % above what bench/results/guard.json
// keeps. -write keeps what is counted now: do so with the change that explains
// it. The test of this package does the part that counts allocations, so CI
// does too.
//
// Instructions per run are the difference between many runs and few, so what a
// test binary does before and after does not count. Two counts of the same
// binary differ by less than 1 %. They depend on the version of Go, and are
// compared only for the one that they were counted with; a CPU with other
// vector instructions may move them, too.
package main
