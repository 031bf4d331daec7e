package ports

import (
	"context"
	"fmt"
	"slices"

	"lb/config"
	"lb/supervise/listen"
)

// search finds the sockets of one configuration.
type search struct {
	*Ports
	cfg    *config.Config
	list   []config.Listener
	loops  int
	sets   []*listen.Set     // by listener
	addrs  []*listen.Address // by listener; nil if it was not looked up
	free   []*listen.Set     // open, not systemd's, and not for a listener yet
	opened []*listen.Set
}

// find fills in sets, and opens those that there are not.
func (s *search) find(ctx context.Context) error {
	s.sets, s.addrs = make([]*listen.Set, len(s.list)), make([]*listen.Address, len(s.list))
	for _, set := range s.All() {
		if !set.Systemd {
			s.free = append(s.free, set)
		}
	}
	if err := s.divide(ctx); err != nil {
		return err
	}
	for i, l := range s.list { // first, because it needs no name server
		if s.sets[i] == nil {
			s.sets[i] = s.claim(func(set *listen.Set) bool { return set.Configured == l.Address })
		}
	}
	for i := range s.list {
		if s.sets[i] != nil {
			continue
		}
		if err := s.open(ctx, i); err != nil {
			return s.named(i, err)
		}
	}
	return nil
}

// claim returns a free set that fits, which is no longer free, or nil if there is none.
func (s *search) claim(fits func(*listen.Set) bool) *listen.Set {
	at := slices.IndexFunc(s.free, fits)
	if at < 0 {
		return nil
	}
	set := s.free[at]
	s.free = slices.Delete(s.free, at, at+1)
	return set
}

// open finds or opens the sockets of listener i.
func (s *search) open(ctx context.Context, i int) error {
	a, err := s.address(ctx, i)
	if err != nil {
		return err
	}
	at := func(set *listen.Set) bool { return set != nil && set.At(a) }
	if s.sets[i] = s.claim(at); s.sets[i] != nil {
		return nil
	}
	if twin := slices.IndexFunc(s.sets, at); twin >= 0 {
		return fmt.Errorf("listen %s: that is the address of %s, too; remove one", s.list[i].Address, s.list[twin].Address)
	}
	set, err := a.Open(ctx, s.loops, append(s.All(), s.opened...))
	if err != nil {
		return Mend(err, s.list[i].Address)
	}
	s.sets[i], s.opened = set, append(s.opened, set)
	return nil
}

// address returns the address of listener i, looked up once.
func (s *search) address(ctx context.Context, i int) (_ *listen.Address, err error) {
	if s.addrs[i] == nil {
		s.addrs[i], err = listen.Resolve(ctx, s.resolver, s.list[i].Address)
	}
	return s.addrs[i], err
}

// divide gives the sockets of systemd to listeners.
func (s *search) divide(ctx context.Context) error {
	by := make([][]*listen.Set, len(s.list))
	for _, set := range s.given {
		if !set.Systemd {
			continue
		}
		for i := range s.list {
			if _, err := s.address(ctx, i); err != nil {
				return s.named(i, err)
			}
		}
		i := s.listenerOf(set)
		if i < 0 && set.Unix() {
			continue
		}
		by[max(i, 0)] = append(by[max(i, 0)], set)
	}
	for i, sets := range by {
		if len(sets) > 0 {
			s.sets[i] = listen.Join(sets)
		}
	}
	return nil
}

// listenerOf returns the listener of a socket of systemd by its address, else by its port
// if only one has that, or -1 if there is none.
func (s *search) listenerOf(set *listen.Set) (i int) {
	i = slices.IndexFunc(s.addrs, set.At)
	if i >= 0 {
		return i
	}
	for k, l := range s.list {
		if port := listen.PortOf(l.Address); port == 0 || !set.HasPort(port) {
			continue
		}
		if i >= 0 {
			return -1
		}
		i = k
	}
	return i
}

// named adds to an error which key of the file it is about, if there are several.
func (s *search) named(i int, err error) error {
	if len(s.cfg.Listeners) == 0 {
		return err
	}
	return fmt.Errorf("listeners[%d].address: %w", i, err)
}
