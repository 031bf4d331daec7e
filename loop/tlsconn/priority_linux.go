package tlsconn

import "golang.org/x/sys/unix"

// niceness is that of the threads for handshakes: they get about a tenth of a CPU that
// their loops keep busy.
const niceness = 10

// lowerPriority lowers the priority of this thread. Where that fails, handshakes compete
// with the loops as equals.
func lowerPriority() { unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness) }
