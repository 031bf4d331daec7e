// Command compare measures what lb costs beside a byte relay, nginx and
// HAProxy: `just bench`, or `go run ./bench/compare`.
//
// What carries is the CPU time of a proxy's processes per request. A
// throughput on a noisy machine moves by a third; the CPU time that the kernel
// charges moves by a few percent, and a ratio of two taken in one round by
// less. So all proxies run at once, each is measured once a round, in an order
// that turns from round to round, and ratios are taken within the rounds and
// given with their range. Throughput and latency stand beside it.
//
// All proxies have one worker on one core, load and backends have the others.
// Where there are no others the report says so. The backends are one process
// with one loop, also when there are 1,000 of them: it listens on every address
// of 127.0.0.0/8. The load is a process of its own, so that its pauses are not
// the runner's and the kernel can keep it on its core.
//
// The command starts itself again for the load, the backends and the relay.
// Whatever it starts ends with it, see process.go. It needs Linux, because it
// reads /proc; elsewhere it says so.
package main
