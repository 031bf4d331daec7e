// Package listen opens the listening sockets of traffic, keeps them in sets and deals
// them out among loops. It does not know loops or workers, and accepts nothing.
//
// # Why sockets that are handed over never change whether they block
//
// That is a property of the socket, not of the descriptor: a process that changes it changes
// it for the other, and a loop that accepts from a blocking socket stands still. Package os
// does it silently, in Fd of what net.Listener.File returns; DupListener avoids that.
//
// # Why a unix socket is removed by name, and by one process
//
// Its path outlives the socket, and a process that ends must not remove that of the lb which
// goes on. So a set knows which file it has made, by its number, and whether this process is
// the one that removes it: the process that has opened it, until a new one has taken over in
// an upgrade. The path goes first and the socket after it: nobody connects any longer, and
// what is in the queue is served.
package listen

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync"
)

// Set is the listening sockets of one address: one for each loop, with an accept queue
// of its own. After the number of loops went down there are more, which are dealt out
// among the loops that are left. A socket with SO_REUSEPORT is never closed while its
// address is served: what is in its queue, and what the system is about to put there,
// would be reset.
//
// From a socket of a shared set all loops accept. A unix socket is a shared set, and so is
// what systemd has opened, and every set, of one socket, on a system that does not divide
// connections among sockets.
//
// The files are closed on exec, and Go's poller does not know them. A loop that accepts
// from a socket makes it non-blocking, for all processes that hold it, and none makes
// it block again.
type Set struct {
	Configured string // address of the listener that it was opened for, or "" if systemd opened it
	Addr       string // as served: host:port, with the real port for a configured port of 0, or unix:/path; of several sockets of systemd a list
	Shared     bool
	Systemd    bool // systemd opened it, and would not open it again

	path  string // of a unix socket, or ""
	bound fileID // what is at path
	owner bool   // this process is to remove path

	// Any goroutine may deal the sockets out, also while the set's owner opens more or
	// closes all. Only the owner changes files, so it reads them without mu.
	mu    sync.Mutex
	files []*os.File
}

// Open opens sockets at a for n loops. known are the sets that are open already.
//
// If another program has SO_REUSEPORT on the same port, the system would divide the
// connections among that and us without a word. So Open first tries a socket without
// it, unless a known set has the port. That does not tell apart two lbs that start
// within the same microseconds.
func (a *Address) Open(ctx context.Context, n int, known []*Set) (*Set, error) {
	if a.path != "" {
		return a.openUnix()
	}
	f, bound, err := openListener(ctx, a.network, a.ip, a.port, portOf(known, a.port))
	if err != nil {
		return nil, err
	}
	ls := &Set{
		Configured: a.text,
		Addr:       net.JoinHostPort(a.host, strconv.Itoa(bound)),
		Shared:     !reusePortBalances,
		files:      []*os.File{f},
	}
	if err := Grow([]*Set{ls}, n); err != nil {
		ls.Close()
		return nil, err
	}
	return ls, nil
}

// dealTo returns the sockets from which loop number place of n accepts. Each socket is
// dealt to one loop, that of a shared set to all. The files stay the set's.
func (ls *Set) dealTo(place, n int) (files []*os.File) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.Shared {
		return ls.files
	}
	for i := place; i < len(ls.files); i += n {
		files = append(files, ls.files[i])
	}
	return files
}

// Deal returns the sockets from which each of n loops accepts. Each socket is dealt to
// one loop, that of a shared set to all. The files stay the set's.
func (ls *Set) Deal(n int) (files [][]*os.File) {
	for place := range n {
		files = append(files, ls.dealTo(place, n))
	}
	return files
}

// Close closes every socket, for this process. It may be called again.
func (ls *Set) Close() {
	for _, f := range ls.files {
		f.Close()
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.files = nil
}

// Leave is Close for an address that other sockets serve from now on, or none. The
// loops close their descriptors next, and before that accept what is in the queues;
// nothing may be queued after that.
func (ls *Set) Leave() {
	ls.Unlink()
	for _, f := range ls.files {
		if ls.path == "" {
			stopQueueing(f) // if it fails, a few connections may come in that moment
		}
	}
	ls.Close()
}

// openListener opens the first listening socket of an address and returns the port it
// is bound to. known says that a known set has the port.
func openListener(ctx context.Context, network, ip string, port int, known bool) (*os.File, int, error) {
	if port != 0 && !known {
		probe, err := netListen(ctx, network, ip, port, false)
		if err != nil {
			return nil, 0, err
		}
		probe.Close()
	}
	l, err := netListen(ctx, network, ip, port, true)
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()
	f, err := DupListener(l)
	return f, l.Addr().(*net.TCPAddr).Port, err
}
