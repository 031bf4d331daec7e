package supervise

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lb/config"
	"lb/supervise/discover"
	"lb/supervise/plan"
)

// names are the names by which the configuration gives backends, and their
// addresses. They belong to the desk.
type names struct {
	resolver discover.Resolver
	book     *discover.Book
	lookups  *discover.Lookups // nil while none are made
}

func newNames(resolver discover.Resolver, log *slog.Logger) names {
	return names{resolver: resolver, book: discover.NewBook(log)}
}

// find looks up the names of cfg that have no address, which takes timeout at
// most, and returns those that still have none.
func (n *names) find(cfg *config.Config, timeout time.Duration) (missing []string) {
	all := discover.Names(cfg)
	if missing = n.book.Without(all); len(missing) > 0 {
		n.book.Note(discover.LookUp(context.Background(), n.resolver, missing, timeout))
	}
	return n.book.Without(all)
}

// addrs returns the addresses of every backend of cfg, by pool and backend.
func (n *names) addrs(cfg *config.Config) [][][]plan.Addr { return plan.Addrs(cfg, n.book.Of) }

// begin begins to look names up again and again, see discover.StartLookups.
func (n *names) begin(every time.Duration, news func(<-chan struct{}, discover.Findings)) {
	n.lookups = discover.StartLookups(n.resolver, every, news)
}

// follow has the names of cfg, and no others, looked up and remembered.
func (n *names) follow(cfg *config.Config) {
	all := discover.Names(cfg)
	n.book.Forget(all)
	n.lookups.Set(all, len(n.book.Without(all)) > 0)
}

// stop ends the lookups.
func (n *names) stop() {
	if n.lookups != nil {
		n.lookups.Close()
		n.lookups = nil
	}
}

// resolved brings findings to the desk.
func (d *desk) resolved(cancelled <-chan struct{}, f discover.Findings) {
	d.queue.Tell("taking up addresses of names", cancelled, func() {
		if d.ending != nil {
			return
		}
		if changed := d.names.book.Note(f); len(changed) > 0 {
			d.readdress(changed)
		}
		d.names.follow(d.now.Config) // a reload may have come between
	})
}

// readdress gives the backends with these names their new addresses.
func (d *desk) readdress(names []string) {
	next := *d.now
	next.Addrs = d.names.addrs(next.Config)
	for i, p := range next.Config.Pools {
		for j, b := range p.Backends {
			if discover.IsName(b) && slices.Contains(names, b.Host) {
				d.crew.SetAddrs(next.IDs[i][j], next.Addrs[i][j])
				d.prober.SetAddrs(next.IDs[i][j], dialable(next.Addrs[i][j]))
			}
		}
	}
	d.setNow(&next)
	for _, name := range names {
		d.log.Info("name has new addresses", "name", name, "addresses", joinAddrs(d.names.book.Of(name)))
	}
}

func joinAddrs(ips []netip.Addr) string {
	texts := make([]string, len(ips))
	for i, ip := range ips {
		texts[i] = ip.Unmap().String()
	}
	return strings.Join(texts, ",")
}
