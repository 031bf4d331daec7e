package listen

import "lb/internal/ipc"

// Handed describes a set to another process, which gets its sockets as descriptors.
type Handed struct {
	Configured, Addr string
	Shared, Systemd  bool
	Sockets          int    // how many descriptors belong to it
	File             fileID `json:",omitzero"` // of a unix socket
}

// Hand returns what another process needs to go on with ls. The descriptors stay
// the set's.
func (ls *Set) Hand() (h Handed, fds []int) {
	for _, f := range ls.files {
		fds = append(fds, int(f.Fd()))
	}
	return Handed{
		Configured: ls.Configured,
		Addr:       ls.Addr,
		Shared:     ls.Shared,
		Systemd:    ls.Systemd,
		Sockets:    len(fds),
		File:       ls.bound,
	}, fds
}

// Take returns the set that another process has handed over, which stays that one's to
// remove; see Own. It takes fds over, even if it fails.
func Take(h Handed, fds []int) (*Set, error) {
	ls := &Set{Configured: h.Configured, Addr: h.Addr, Shared: h.Shared, Systemd: h.Systemd,
		path: PathOf(h.Addr), bound: h.File}
	for i, fd := range fds {
		f, err := quietly(fd)
		if err != nil {
			ipc.CloseAll(fds[i+1:])
			ls.Close()
			return nil, err
		}
		ls.files = append(ls.files, f)
	}
	return ls, nil
}
