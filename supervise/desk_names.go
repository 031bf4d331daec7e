package supervise

import (
	"net/netip"
	"slices"
	"strings"

	"lb/supervise/discover"
	"lb/supervise/plan"
)

// resolved brings findings to the desk.
func (s *server) resolved(cancelled <-chan struct{}, f discover.Findings) {
	s.desk.tell("taking up addresses of names", cancelled, func() {
		if s.ending != nil {
			return
		}
		if changed := s.book.Note(f); len(changed) > 0 {
			s.readdress(changed)
		}
		s.book.Forget(discover.Names(s.now.Config)) // a reload may have come between
		s.setLookups()
	})
}

// setLookups has the names of the configuration at work looked up.
func (s *server) setLookups() {
	names := discover.Names(s.now.Config)
	s.lookups.Set(names, len(s.book.Without(names)) > 0)
}

// readdress gives the backends with these names their new addresses.
func (s *server) readdress(names []string) {
	next := *s.now
	next.Addrs = plan.Addrs(next.Config, s.book.Of)
	for i, p := range next.Config.Pools {
		for j, b := range p.Backends {
			if discover.IsName(b) && slices.Contains(names, b.Host) {
				s.crew.SetAddrs(next.IDs[i][j], next.Addrs[i][j])
				s.prober.SetAddrs(next.IDs[i][j], dialable(next.Addrs[i][j]))
			}
		}
	}
	s.now = &next
	for _, name := range names {
		s.log.Info("name has new addresses", "name", name, "addresses", joinAddrs(s.book.Of(name)))
	}
}

func joinAddrs(ips []netip.Addr) string {
	texts := make([]string, len(ips))
	for i, ip := range ips {
		texts[i] = ip.Unmap().String()
	}
	return strings.Join(texts, ",")
}
