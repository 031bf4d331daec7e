// Package handover replaces a running lb by a new process: sockets, board and
// registry change hands, and either process can fail at any step without harm. It
// does not know what the registry says, nor when an upgrade is due.
//
// Step by step: the old process starts the new one, which says hello, and hands over
// sockets, board and registry. The new one starts its loops on the same sockets and
// reports that it is ready; both accept from now on. The old one says go; the new one
// writes the PID file, begins to answer the operator on the same two listeners, and
// reports that it has taken over. The old one tells systemd which process is the main
// one now, ends the talk, for which the new one waits, and drains. Whatever goes wrong
// before that last report, the new process is ended and the old one goes on. A socket
// that is handed over is only ever closed, never shut down: that would end it for both.
//
// # Why the new process of an upgrade serves before the old one stops
//
// Both accept from the same sockets for a while, which harms nobody; a gap would refuse
// clients. So the new process does first what can be refused, starts its loops and says so.
// The old one says go. The new one takes what only one of them can have (the PID file, the
// operator's conns) and says that, too. Only then does the old one let go. A process that
// dies or hangs before its last word has taken nothing away, and a new process goes on if
// the old one dies. The old process tells systemd, which believes it, and the new one says
// nothing to systemd until the channel between them ends. The price is that a new process
// that fails after its loops began takes a few conns with it.
package handover
