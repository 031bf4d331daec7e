package supervise

import (
	"net/netip"
	"slices"
	"strings"
)

// resolved brings findings to the desk.
func (s *server) resolved(cancelled <-chan struct{}, f findings) {
	s.desk.tell("taking up addresses of names", cancelled, func() {
		if s.ending != nil {
			return
		}
		if changed := s.book.note(f); len(changed) > 0 {
			s.readdress(changed)
		}
		s.book.forget(namesOf(s.now.Config)) // a reload may have come between
		s.setLookups()
	})
}

// setLookups has the names of the configuration at work looked up.
func (s *server) setLookups() {
	names := namesOf(s.now.Config)
	s.lookups.set(names, len(s.book.without(names)) > 0)
}

// readdress gives the backends with these names their new addresses.
func (s *server) readdress(names []string) {
	next := *s.now
	next.Addrs = addrsOf(next.Config, s.book.of)
	for i, p := range next.Config.Pools {
		for j, b := range p.Backends {
			if isName(b) && slices.Contains(names, b.Host) {
				s.crew.setAddrs(next.IDs[i][j], next.Addrs[i][j])
				s.prober.SetAddrs(next.IDs[i][j], dialable(next.Addrs[i][j]))
			}
		}
	}
	s.now = &next
	for _, name := range names {
		s.log.Info("name has new addresses", "name", name, "addresses", joinAddrs(s.book.of(name)))
	}
}

func joinAddrs(ips []netip.Addr) string {
	texts := make([]string, len(ips))
	for i, ip := range ips {
		texts[i] = ip.Unmap().String()
	}
	return strings.Join(texts, ",")
}
