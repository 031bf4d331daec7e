// Package looptest is a kernel for tests: a small network inside one process, with
// its own clock, driven by a seed. It implements loop.Kernel, so that a real loop,
// and whatever runs on it, can be tested without sockets, time or luck. The same
// seed and the same calls give the same run, byte for byte and nanosecond for
// nanosecond. It knows nothing of HTTP.
//
// A test holds the other ends: Connect makes a client of a listening socket, Serve
// makes a place that the loop can dial. Both give Peers, which send, receive,
// pause, end and reset. Their callbacks run only within Wait and Advance, never in
// the middle of a call of the loop; they reach the loop through Loop.Post. A
// Kernel and everything made by it belong to one goroutine; only Wake may be
// called from others.
//
// # What it promises
//
//   - Edges: one event for each change (bytes came, room came after a write that was short
//     or took nothing, the peer ended, a reset); several changes between two Waits make one
//     event. Nothing else makes an event, so code that stops before a short or empty read
//     stalls here. An event tells what changed and still holds when Wait returns, not all
//     that holds: kqueue has one event for each direction. Faults.FullState behaves like
//     Linux.
//   - A read or write that is shorter than it could have been is always followed by an edge,
//     because on a real kernel a short count means "drained" or "full". A read of exactly
//     the size of its buffer promises nothing.
//   - Listening sockets are level-triggered.
//   - Descriptors are the lowest free numbers from 3 on, so that numbers are reused as soon
//     as possible. An event carries the gen given to Watch.
//   - A connection has a bounded buffer at each end: an end that stops reading stops the
//     other end's writes. Peers may send without bound; what does not fit waits.
//   - The end comes after all bytes. A reset comes after the bytes on the wire and drops
//     what its sender had not put there yet. After a reset the loop's side can read what had
//     arrived, then gets ECONNRESET once, then the end, as on Linux.
//   - Closing with unread bytes resets the connection, and so do bytes that arrive at a
//     closed end. The Peer that gets the reset loses what it had not read: RFC 9112 section
//     9.6 warns of this.
//   - Hangup stands for resets and errors only. Two orderly ends are not one, whatever the
//     loop's own ShutdownWrite then reports.
//   - A unix socket connects or is refused at once; its peer's close ends both sides, so
//     that writes fail while there are bytes to read. It cannot be reset: SO_LINGER means
//     nothing there, and only closing with unread bytes looks like a reset.
//   - The clock starts above zero and moves only in Wait, to the next thing that is due, and
//     in Advance. A Wait without a timeout, when nothing is due, has stalled: it returns at
//     once, and Stalled reports it.
//   - Faults are drawn from the seed; each has a knob, and all are off at first.
//
// Wrong use of a descriptor (closed, unknown, of the wrong kind) is recorded in
// Misuses, and Run panics with it: a real process would have hit another connection.
//
// # What real kernels do that it does not
//
//   - No packets: no loss, no Nagle, no delayed acknowledgement, no window that must open by
//     a good part first. Room is reported at its first byte; Linux waits for a third of the
//     buffer.
//   - Acknowledgements and windows take no time; only bytes, ends, resets and connects can
//     be delayed.
//   - Accept queues have no limit. Nothing lingers in TIME_WAIT, and ports do not run out.
//   - No urgent data, no SO_ERROR from the network (EHOSTUNREACH and the like) after the
//     connect, no keep-alive probes.
//   - DialResult during the connect is EINPROGRESS; SO_ERROR alone would report no error.
package looptest
