// Package supervise is the desk of a running lb: one goroutine that owns the control
// plane. It starts and ends everything, hears signals and commands, reloads, drains and
// upgrades. Its rooms do the work: plan, discover, ports with listen, crew with engine, handover
// and health. It does not know what a request is, and never touches a byte of traffic.
//
// Other goroutines bring commands, a changed file or addresses of names to the desk as
// functions: queue.Ask and queue.Tell. The file becomes the configuration in compare, and
// at the start in start: whatever else may say which backends there are belongs there.
//
// # Why one goroutine has all the state
//
// Signals, commands, a changed file, new addresses and upgrades all change the same few
// things, some of them at once. They reach the desk as functions, one at a time, so that
// a reload never sees half of another one. The price is that they wait for each other: a
// step of the desk takes a second and a half at worst (names that do not resolve, then a
// loop that does not answer), and a caller that waits too long gets an error that says what
// for. Status does not wait: it shows what was published last. An upgrade or a drain takes
// longer, and runs on goroutines of its own.
//
// # Why a reload cannot half fail
//
// Everything that can be refused (the file, ports, the PID file, sockets, room on the
// board) is made ready first and changes nothing. Then everything is used at once, which
// cannot fail. Sockets for traffic are opened last, because the system fills their queues
// at once. Each backend has an ID on the board, kept by pool and address, so that health,
// ejection and counters stay with it. The ID of a backend that is gone is given to another
// only when no loop can pick the old one any longer.
package supervise
