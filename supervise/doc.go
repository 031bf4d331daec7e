// Package supervise is who runs the loops: threads of one process (mt), or a
// supervisor and worker processes with one loop each (mp). It opens the
// listening sockets, resolves names, hears signals and drains. It does not know
// what a request is, and in mp the supervisor never touches a byte of traffic.
//
// # Why a worker is started with its sockets, and not told an address
//
// A listening socket with SO_REUSEPORT has an accept queue of its own. If a
// worker opened it, the queue would die with the worker and the connections in
// it would be reset. So the supervisor opens one socket per loop and keeps it:
// a worker that dies loses the conns it had taken, and its successor goes on
// with the same queue and the same slot of the board. The price is that the
// queue fills while there is nobody to empty it, which is why a worker is
// replaced at once.
//
// # How a worker knows that its supervisor is gone
//
// The control channel is a pair of connected sockets; the kernel closes the
// supervisor's end whatever way it dies, and the worker reads the end of the
// stream. PR_SET_PDEATHSIG would tell it too, but it goes by the thread that
// started the worker, and Go ends threads as it likes.
package supervise
