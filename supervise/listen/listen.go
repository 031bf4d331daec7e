// Package listen opens the listening sockets of traffic, keeps them in sets and deals
// them out among loops. It does not know loops or workers, and accepts nothing.
//
// # Why sockets that are handed over never change whether they block
//
// That is a property of the socket, not of the descriptor: a process that changes it changes
// it for the other, and a loop that accepts from a blocking socket stands still. Package os
// does it silently, in Fd of what net.Listener.File returns; DupListener avoids that.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"lb/supervise/discover"
)

// Set is the listening sockets of one address: one for each loop, with an accept queue
// of its own. After the number of loops went down there are more, which are dealt out
// among the loops that are left. A socket with SO_REUSEPORT is never closed while its
// address is served: what is in its queue, and what the system is about to put there,
// would be reset.
//
// From a socket of a shared set all loops accept. Systemd's are one shared set, whatever
// their addresses, and so is every set, of one socket, on a system that does not divide
// connections among sockets.
//
// The files are closed on exec, and Go's poller does not know them. A loop that accepts
// from a socket makes it non-blocking, for all processes that hold it, and none makes
// it block again.
type Set struct {
	Configured string // host:port of the configuration, or "" if systemd opened it
	Addr       string // host:port as served, with the real port for a configured port of 0; of systemd's a list
	Shared     bool
	Systemd    bool // systemd opened it, and would not open it again

	// Any goroutine may deal the sockets out, also while the set's owner opens more or
	// closes all. Only the owner changes files, so it reads them without mu.
	mu    sync.Mutex
	files []*os.File
}

// Open returns sockets of host and port for n loops. host is a name or an address
// without brackets; "" and "::" are every address of both families. Port 0 is any
// free one. given are the sets that are open already: in use, handed over, or from
// systemd; they stay the caller's. If one of them fits, Open returns that, with sockets
// for n loops. What systemd has given fits whatever its address.
//
// If another program has SO_REUSEPORT on the same port, the system would divide the
// connections among that and us without a word. So Open first tries a socket without
// it, unless a given set has the port. That does not tell apart two lbs that start
// within the same microseconds.
func Open(resolver discover.Resolver, host string, port, n int, given ...*Set) (*Set, error) {
	ctx, cancel := context.WithTimeout(context.Background(), discover.Timeout)
	defer cancel()
	configured := net.JoinHostPort(host, strconv.Itoa(port))
	for _, ls := range given {
		if ls.Configured == configured {
			return ls, ls.Grow(n)
		}
	}
	network, ip, err := listenAddr(ctx, resolver, host)
	if err != nil {
		return nil, err
	}
	if ls := boundTo(given, network, ip, port); ls != nil {
		return ls, ls.Grow(n)
	}
	if i := slices.IndexFunc(given, func(ls *Set) bool { return ls.Systemd }); i >= 0 {
		return given[i], nil
	}
	f, bound, err := openListener(ctx, network, ip, port, portOf(given, port))
	if err != nil {
		return nil, err
	}
	ls := &Set{
		Configured: configured,
		Addr:       net.JoinHostPort(host, strconv.Itoa(bound)),
		Shared:     !reusePortBalances,
		files:      []*os.File{f},
	}
	if err := ls.Grow(n); err != nil {
		ls.Close()
		return nil, err
	}
	return ls, nil
}

// Grow opens more sockets until there are n, all or none. It opens none for a
// shared set.
func (ls *Set) Grow(n int) error {
	if ls.Shared || len(ls.files) >= n {
		return nil
	}
	more := make([]*os.File, 0, n-len(ls.files))
	giveUp := func(err error) error {
		for _, f := range more {
			f.Close()
		}
		return fmt.Errorf("listen %s: %w", ls.Addr, err)
	}
	for range cap(more) {
		f, err := bindLike(ls.files[0])
		if err != nil {
			return giveUp(err)
		}
		more = append(more, f)
	}
	// From here on the system sends connections to the sockets, so everything that can
	// go wrong comes before.
	for _, f := range more {
		if err := unix.Listen(int(f.Fd()), backlogMax); err != nil {
			return giveUp(os.NewSyscallError("listen", err))
		}
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.files = append(ls.files, more...)
	return nil
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
	for _, f := range ls.files {
		stopQueueing(f) // if it fails, a few connections may come in that moment
	}
	ls.Close()
}

// boundTo returns the set with the address ip and port, or nil if there is none.
func boundTo(sets []*Set, network, ip string, port int) *Set {
	want, err := netip.ParseAddrPort(net.JoinHostPort(ip, strconv.Itoa(port)))
	if network == "tcp" { // every address of both families
		want, err = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), nil
	}
	if err != nil || port == 0 {
		return nil
	}
	i := slices.IndexFunc(sets, func(ls *Set) bool { return slices.Contains(ls.bound(), want) })
	if i < 0 {
		return nil
	}
	return sets[i]
}

// portOf reports whether one of sets has the port.
func portOf(sets []*Set, port int) bool {
	at := func(a netip.AddrPort) bool { return int(a.Port()) == port }
	return slices.ContainsFunc(sets, func(ls *Set) bool { return slices.ContainsFunc(ls.bound(), at) })
}

// bound returns the addresses of the sockets: one, unless systemd has opened them.
func (ls *Set) bound() (addrs []netip.AddrPort) {
	files := ls.files
	if !ls.Systemd {
		files = files[:min(1, len(files))]
	}
	for _, f := range files {
		addrs = append(addrs, boundAddr(f))
	}
	return addrs
}

// boundAddr returns the address of the socket f, or the zero value if that is no
// internet address.
func boundAddr(f *os.File) netip.AddrPort {
	sa, err := unix.Getsockname(int(f.Fd()))
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zoneName(sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// zoneName returns the name of an interface, or its number.
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(index))
}

// listenAddr returns the network and address to listen on, in the words of package
// net. Of a name's addresses it returns the first IPv4 one, as net.Listen does.
func listenAddr(ctx context.Context, resolver discover.Resolver, host string) (network, ip string, err error) {
	if host == "" || host == "::" {
		return "tcp", host, nil // both families
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		addrs, err := resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return "", "", fmt.Errorf("listen %s: %w", host, err)
		}
		if addr, err = firstAddr(addrs); err != nil {
			return "", "", fmt.Errorf("listen %s: %w", host, err)
		}
	}
	if addr = addr.Unmap(); addr.Is4() {
		return "tcp4", addr.String(), nil
	}
	return "tcp6", addr.String(), nil
}

func firstAddr(addrs []netip.Addr) (netip.Addr, error) {
	for _, a := range addrs {
		if a.Unmap().Is4() {
			return a, nil
		}
	}
	if len(addrs) == 0 {
		return netip.Addr{}, errors.New("the name has no address")
	}
	return addrs[0], nil
}

// openListener opens the first listening socket of an address and returns the port it
// is bound to. known says that a given set has the port.
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
