// Package crew runs the loops: threads of one process (mt), or worker processes with
// one loop each (mp), which it starts, replaces and retires. It is also what a worker
// process runs. It does not know why a configuration changes, where it comes from, or what
// an operator asks for.
//
// # Why a worker is started with its sockets, and not with an address
//
// A listening socket with SO_REUSEPORT has an accept queue of its own. If a worker opened
// it, the queue would die with the worker, and the connections in it would be reset. So
// the supervisor opens one socket per loop and keeps it: a worker that dies loses the conns
// that it had accepted, and the next one goes on with the same queue and the same slot of
// the board. The price is that the queue fills while no worker empties it, which is why a
// worker that has served is replaced at once, and why another worker serves its sockets
// until the successor does. Only a worker that dies before it has served a request is
// replaced later each time.
//
// # How a worker notices that its supervisor is gone
//
// The channel between them is a pair of connected sockets. The kernel closes the
// supervisor's end whatever way it dies, and the worker reads the end of the stream.
// PR_SET_PDEATHSIG would not do: it goes by the thread that started the worker, and Go
// ends threads as it likes.
//
// # Why orders wait in an outbox
//
// A worker may stand still, and neither the desk nor another worker may wait for it. So an
// order is put into an outbox, and a goroutine of its own sends it. Orders that a later one
// makes void are dropped: of snapshots a worker that stands still gets the last. The sender
// works out which sockets are new to the worker, and they travel with the order. The price
// is that an order has no result. A caller that needs one waits for the report, as Apply
// waits for the number of the snapshot. A worker that dies in between is no special case:
// the next one begins with the newest snapshot, and is ready with its number.
//
// # Why panics are looked up and not reported
//
// They are counted on the board already, in mt and in mp alike, so the supervisor looks
// there once a second. A loop that panics too often goes on serving until another one, in
// another slot, serves the same sockets beside it: what it has running is not cut off, and
// nobody waits. It is not replaced again while the one before it still drains, so that a
// panic that comes with every request cannot fill the machine with processes.
package crew
