// Package supervise is who runs the loops: threads of one process (mt), or a
// supervisor and worker processes with one loop each (mp). It opens the
// listening sockets, resolves names, hears signals and drains. It does not know
// what a request is, and in mp the supervisor never touches a byte of traffic.
//
// # Why one goroutine has all the state
//
// Signals, commands, a changed file, new addresses and upgrades all want to
// change the same few things, some of them at once. They reach one goroutine, the
// desk, as functions, so that a reload never sees half of another one, and
// nothing has to be thought of twice. The price is that they wait for each other:
// a step of the desk takes a second and a half at worst (names that do not
// resolve, then a loop that does not answer), and who has to wait too long is
// told what for. Status does not wait: it tells what was so a moment before. What
// takes longer, an upgrade or a drain, goes on beside the desk.
//
// # Why a reload cannot half fail
//
// Everything that can be refused (the file, ports, the PID file, sockets, room on
// the board) is made ready first and changes nothing; then everything is put to
// work, and that cannot fail. Sockets for traffic are the last to be opened: the
// system fills their queues at once. The board has an ID for each backend, kept
// by pool and address, so that health, ejection and counters stay with it; the ID
// of one that is gone is given to another only when no loop can pick it any more.
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
//
// # Why orders wait in an outbox
//
// A worker may stand still, and neither the desk nor another worker may wait for
// it. So an order is put down and sent by a goroutine of its own. What a worker
// that stands still is spared is what a later order says anyway: of snapshots it
// gets the last. Which sockets are new to it is worked out when the order leaves,
// and they travel with it. It costs that an order has no result; who needs one waits
// for the report, as apply does for the number of the snapshot. A worker that dies
// in between is no special case: its successor begins with the newest snapshot, and
// being ready with that number is the acknowledgement.
//
// # Why panics are looked up and not reported
//
// They are counted on the board already, in mt and in mp alike, so the supervisor
// looks there once a second. A loop that panics too often goes on serving until
// another one, in another slot, serves beside it from the same sockets: what it has
// at work is not cut off, and nobody waits. It is not replaced again while the
// one before it still drains, so a panic that comes with every request cannot fill the
// machine with processes.
//
// # Why the new process of an upgrade serves before the old one stops
//
// Both accept from the same sockets for a while, which harms nobody, whereas a
// gap would refuse. So the new one starts its loops, with all that can be refused
// behind it, and says so; the old one says go; the new one takes what only one can
// have (the pid file, the operator's conns), and says that too; only then does the
// old one let go. A process that dies or hangs before its last word has taken
// nothing away, and one whose elder dies goes on. systemd is told by the elder,
// whom it believes, and the new one keeps silent until the channel between them
// ends. It costs that a process that fails after its loops began takes a few conns
// with it.
//
// # Why sockets that are handed over are never told to block or not to block
//
// That is a property of the socket, not of the descriptor: whoever changes it
// changes it for the other process, and a loop that accepts from a socket which
// blocks stands still. Package os does it behind one's back, in Fd of what
// net.Listener.File returns; dupListener goes round that.
package supervise
