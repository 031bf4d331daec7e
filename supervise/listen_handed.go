package supervise

import "lb/internal/ipc"

// handed describes a set to another process, which gets the sockets as descriptors.
type handed struct {
	Configured, Addr string
	Shared, Systemd  bool
	Sockets          int // how many descriptors belong to it
}

// hand returns what another process needs to go on with ls. The descriptors stay
// the set's.
func (ls *listeners) hand() (h handed, fds []int) {
	for _, f := range ls.files {
		fds = append(fds, int(f.Fd()))
	}
	return handed{
		Configured: ls.configured,
		Addr:       ls.addr,
		Shared:     ls.shared,
		Systemd:    ls.systemd,
		Sockets:    len(fds),
	}, fds
}

// takeHanded returns the set that another process has handed over, and takes fds
// over, also if there is an error.
func takeHanded(h handed, fds []int) (*listeners, error) {
	ls := &listeners{configured: h.Configured, addr: h.Addr, shared: h.Shared, systemd: h.Systemd}
	for i, fd := range fds {
		f, err := quietly(fd)
		if err != nil {
			ipc.CloseAll(fds[i+1:])
			ls.close()
			return nil, err
		}
		ls.files = append(ls.files, f)
	}
	return ls, nil
}
