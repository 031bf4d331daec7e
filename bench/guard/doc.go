// Command guard notices that lb has become more expensive, without measuring
// time: `just bench-guard`, or `go run ./bench/guard`.
//
// It runs benchmarks a fixed number of times and counts what does not depend on
// the load of the machine: allocations and, under valgrind, instructions. It fails
// if a count is more than 3 % above bench/results/guard.json. -write keeps the
// present counts there; commit that with the change that explains it. The test of
// this package counts allocations, so CI does too.
//
// Instructions per run are the difference between many runs and few, so the start
// and the end of a test binary do not count. Two counts of one binary differ by
// less than 1 %. Instructions depend on the version of Go and are compared only
// within one version; a CPU with other vector instructions may change them, too.
package main
