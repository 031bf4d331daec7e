package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lb/config/discovery"
	"lb/config/health"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// balanceKeys are the keys of a pool. Those of the pool "default" are at the top.
var balanceKeys = []schema.Key[Pool]{
	schema.Text("strategy", checkStrategy, func(p *Pool) *string { return &p.Strategy }),
	schema.Table("hash", hashKeys, func(p *Pool) *Hash { return &p.Hash }),
	schema.Text("sticky", value.CheckCookie, func(p *Pool) *string { return &p.Sticky }),
	schema.Text("reuse", checkReuse, func(p *Pool) *string { return &p.Reuse }),
	schema.Text("protocol", checkProtocol, func(p *Pool) *string { return &p.Protocol }),
	schema.Text("send_proxy", checkSendProxy, func(p *Pool) *string { return &p.SendProxy }),
	schema.Optional("slow_start", "no slow start", func(p *Pool) *time.Duration { return &p.SlowStart }),
	schema.Bound("idle_max", connectionsMax, func(p *Pool) *int { return &p.IdleMax }),
	schema.Text("drain_header", checkDrainHeader, func(p *Pool) *string { return &p.DrainHeader }),
	schema.Special("health", func(r *schema.Reader, p *Pool, path string, v any) {
		health.Read(r, &p.Health, path, v)
	}, func(d *schema.Differ, old, new *Pool, path string) {
		health.Diff(d, &old.Health, &new.Health, path)
	}),
	schema.Special("eject", func(r *schema.Reader, p *Pool, path string, v any) {
		health.ReadEject(r, &p.Eject, path, v)
	}, func(d *schema.Differ, old, new *Pool, path string) {
		schema.DiffTable(d, &old.Eject, &new.Eject, path, health.EjectKeys)
	}),
	anchored(schema.URL("discover", discovery.Check, func(p *Pool) *string { return &p.Discover })),
	schema.Special("backends", readBackends, diffBackends),
}

// resolveKeys are the keys of a pool about names. A pool without one has that of the top.
var resolveKeys = []schema.Key[Pool]{
	schema.Text("resolver", checkResolver, func(p *Pool) *string { return &p.Resolver }),
	schema.DurationFrom("resolve_min", resolveLeast, func(p *Pool) *time.Duration { return &p.ResolveMin }),
	schema.DurationFrom("resolve_max", resolveLeast, func(p *Pool) *time.Duration { return &p.ResolveMax }),
}

// anchored returns k, the key of the URL of a source, for one that may have paths in it that
// begin at the folder of the file.
func anchored(k schema.Key[Pool]) schema.Key[Pool] {
	set := k.Set
	k.Set = func(r *schema.Reader, p *Pool, path string, v any) {
		set(r, p, path, v)
		p.Discover = discovery.Anchor(p.Discover, r.Folder)
	}
	return k
}

// otherKeys are the keys of [[pools]] beside the name.
var otherKeys = slices.Concat(balanceKeys, resolveKeys, tlsOfPool("tls"))

var poolKeys = append([]schema.Key[Pool]{
	schema.Text("name", func(s string) *value.Flaw { return value.CheckPoolName(s, DefaultPool) }, func(p *Pool) *string { return &p.Name }),
}, otherKeys...)

// tlsOfPool returns the key for TLS to backends, which has another name at the top.
func tlsOfPool(name string) []schema.Key[Pool] {
	return []schema.Key[Pool]{schema.Table(name, backendTLSKeys, func(p *Pool) *BackendTLS { return &p.TLS })}
}

var backendKeys = []schema.Key[Backend]{
	schema.Text("host", value.CheckHost, func(b *Backend) *string { return &b.Host }),
	schema.Number("port", 1, value.PortMax, func(b *Backend) *int { return &b.Port }),
	schema.Socket("socket", value.CheckSocket, func(b *Backend) *string { return &b.Socket }),
	schema.Number("weight", 1, WeightMax, func(b *Backend) *int { return &b.Weight }),
	schema.Flag("backup", func(b *Backend) *bool { return &b.Backup }),
	schema.Flag("drain", func(b *Backend) *bool { return &b.Drain }),
	schema.Number("max_connections", 0, connectionsMax, func(b *Backend) *int { return &b.MaxConnections }),
	schema.Bound("idle_max", connectionsMax, func(b *Backend) *int { return &b.IdleMax }),
	schema.Flag("tls", func(b *Backend) *bool { return &b.TLS }),
}

var hashKeys = []schema.Key[Hash]{
	schema.Special("key", readHashKey, schema.Shown(func(h *Hash) string { return h.key() })),
	schema.Fraction("balance_factor", checkBalance, func(h *Hash) *float64 { return &h.BalanceFactor }),
}

// The largest and smallest values that make sense.
const (
	connectionsMax = 1 << 30
	balanceMax     = 100
	resolveLeast   = 100 * time.Millisecond
)

// defaultPool turns keys of a pool into keys of the top.
func defaultPool(keys []schema.Key[Pool]) (top []schema.Key[draft]) {
	for _, k := range keys {
		top = append(top, schema.Special(k.Name, func(r *schema.Reader, c *draft, path string, v any) {
			k.Set(r, &c.Pools[0], path, v)
		}, func(d *schema.Differ, old, new *draft, path string) {
			k.Diff(d, &old.Pools[0], &new.Pools[0], path)
		}))
	}
	return top
}

// readPools reads [[pools]]. A pool with a flaw is kept for its name, so that routes
// to it are not refused as well.
func readPools(r *schema.Reader, c *draft, path string, v any) {
	list, ok := schema.ReadTables(r, path, v, "pool")
	if !ok {
		return
	}
	first := map[string]int{} // line by name
	for i, v := range list {
		at, p := tomlfile.Element(path, i), NewPool("")
		schema.ReadTable(r, &p, at, v, poolKeys)
		c.Pools = append(c.Pools, p)
		line, _ := r.File.Value(at)
		_, isTable := v.(map[string]any)
		switch n, twice := first[p.Name]; {
		case !isTable:
		case !r.File.Has(tomlfile.Under(at, "name")):
			r.RefuseValue(at, value.Wrong("has no name", `add name = "api" or another, for routes to refer to`))
		case twice:
			r.RefuseValue(tomlfile.Under(at, "name"), value.Wrong(fmt.Sprintf("there is a pool %q already, in line %d", p.Name, n), "give it another name"))
		case p.Name != "":
			first[p.Name] = line
		}
		if isTable && !r.File.Has(tomlfile.Under(at, "backends")) && !r.File.Has(tomlfile.Under(at, "discover")) {
			r.RefuseValue(at, value.Wrong("has no backend", "write [[pools.backends]] below it, once for each backend, or discover"))
		}
	}
}

// finishPools refuses keys of the pool "default" in a file with other pools and no
// backend for this one.
func (r *reader) finishPools() {
	if !r.File.Has("pools") || r.backends {
		return
	}
	for _, k := range slices.Concat(balanceKeys, tlsOfPool("backend_tls")) {
		r.RefuseHere(k.Name, value.Wrong(`is for the pool "default", which has no backend here`, "write it below [[pools]], or add [[backends]]"))
	}
}

// checkSticky refuses a cookie that two pools would set: a client of both would lose its
// backend in one with each answer of the other. Browsers tell names apart by case.
func (r *reader) checkSticky() {
	first := map[string]string{} // where a name stands
	for i, p := range r.draft.Pools {
		at := "sticky"
		if i > 0 {
			at = tomlfile.Under(tomlfile.Element("pools", i-1), "sticky")
		}
		if p.Sticky == "" {
			continue
		}
		if before, twice := first[p.Sticky]; twice {
			line, _ := r.File.Value(before)
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%q is the cookie of another pool already, in line %d", p.Sticky, line), "give each pool a cookie of its own"))
			continue
		}
		first[p.Sticky] = at
	}
}

// readHashKey reads what a pool hashes: "path", "header:x-user".
func readHashKey(r *schema.Reader, h *Hash, path string, v any) {
	s, f := value.ParseText(v)
	if f != nil {
		r.RefuseValue(path, f)
		return
	}
	word, name, named := strings.Cut(s, ":")
	switch {
	case !named && (word == KeyClientIP || word == KeyPath):
	case named && (word == KeyHeader || word == KeyCookie):
		if f := value.CheckToken(name); f != nil {
			r.RefuseValue(path, f)
			return
		}
	default:
		r.RefuseValue(path, value.Wrong(fmt.Sprintf("there is no key %q", s), `use "client_ip", "path", "header:NAME" or "cookie:NAME"`))
		return
	}
	if word == KeyHeader {
		name = strings.ToLower(name)
	}
	h.Key, h.Name = word, name
}

// checkBalance accepts a balance factor. 1 would leave no room.
func checkBalance(n float64) *value.Flaw {
	if n != 0 && !(n > 1 && n <= balanceMax) { // so that NaN is not accepted
		return value.Wrong(fmt.Sprintf("%v is out of range", n), fmt.Sprintf("use more than 1, up to %d, such as 1.25, or 0 for no bound", balanceMax))
	}
	return nil
}

// finishNames gives the pools what they take from the top, and checks it.
func (r *reader) finishNames() {
	top := &r.draft.Pools[0]
	for i := range r.draft.Pools {
		p, at := &r.draft.Pools[i], ""
		if i > 0 {
			at = tomlfile.Element("pools", i-1)
		}
		if !r.File.Has(tomlfile.Under(at, "resolver")) {
			p.Resolver = top.Resolver
		}
		if !r.File.Has(tomlfile.Under(at, "resolve_min")) {
			p.ResolveMin = top.ResolveMin
		}
		if !r.File.Has(tomlfile.Under(at, "resolve_max")) {
			p.ResolveMax = max(top.ResolveMax, p.ResolveMin)
		}
		if p.ResolveMax < p.ResolveMin {
			r.RefuseValue(tomlfile.Under(at, "resolve_max"), value.Wrong(
				fmt.Sprintf("%v is less than resolve_min (%v)", p.ResolveMax, p.ResolveMin), "make it longer, or resolve_min shorter"))
		}
	}
}

func checkSendProxy(s string) *value.Flaw {
	return value.OneOf(s, "version of the PROXY protocol", SendProxyOff, SendProxyV1, SendProxyV2)
}

// checkDrainHeader accepts the name of a field, and "" for none.
func checkDrainHeader(s string) *value.Flaw {
	if s == "" {
		return nil
	}
	return value.CheckToken(s)
}

// checkResolver accepts the address and port of a name server, and "" for the system's.
func checkResolver(s string) *value.Flaw {
	if s == "" {
		return nil
	}
	if _, err := netip.ParseAddrPort(s); err != nil {
		return value.Wrong(fmt.Sprintf("%q is no address with a port", s), `write one such as "10.0.0.2:53", or "" for those of /etc/resolv.conf`)
	}
	return nil
}
