package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lb/config/hints"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// readBackends reads [[backends]], or a list of inline tables.
func readBackends(r *schema.Reader, p *Pool, path string, v any) {
	list, ok := schema.ReadTables(r, path, v, "backend")
	if !ok {
		return
	}
	backends := make([]Backend, 0, len(list))
	first := map[string]int{} // line by identity
	for i, v := range list {
		at := tomlfile.Element(path, i)
		b, ok := readBackend(r, at, v)
		if !ok {
			continue
		}
		line, _ := r.File.Value(at)
		if n, twice := first[Identity(b)]; twice {
			r.RefuseValue(at, duplicate(b, fmt.Sprintf("in line %d", n)))
			continue
		}
		first[Identity(b)] = line
		backends = append(backends, b)
	}
	if len(backends) == len(list) && !slices.ContainsFunc(list, mainBackend) {
		r.RefuseValue(path, value.Wrong("are all backups", "leave out backup = true for one of them"))
	}
	p.Backends = backends
}

// mainBackend reports whether the backend in v is not a backup.
func mainBackend(v any) bool {
	t, ok := v.(map[string]any)
	return !ok || t["backup"] != true
}

// readBackend reads the backend at path. It returns false if r has noted a flaw.
func readBackend(r *schema.Reader, path string, v any) (Backend, bool) {
	b, before := Backend{Weight: 1}, len(r.Errs)
	schema.ReadTable(r, &b, path, v, backendKeys)
	if len(r.Errs) > before {
		return b, false
	}
	has := func(name string) bool { return r.File.Has(tomlfile.Under(path, name)) }
	host, port, socket := has("host"), has("port"), has("socket")
	switch {
	case socket && (host || port):
		r.RefuseValue(path, value.Wrong("has both a socket and a host or port", "keep one of the two"))
	case !socket && !host && !port:
		r.RefuseValue(path, value.Wrong("says not where it is", "add host and port, or socket"))
	case !socket && !host:
		r.RefuseValue(path, value.Wrong("has no host", `add host = "127.0.0.1" or another`))
	case !socket && !port:
		r.RefuseValue(path, value.Wrong("has no port", "add port = 80 or another"))
	}
	if !has("tls") {
		b.TLS = b.Port == portHTTPS
	}
	return b, len(r.Errs) == before
}

// portHTTPS is the port at which a backend speaks TLS unless it is said otherwise.
const portHTTPS = 443

// Identity returns a text that is the same for every spelling of a backend's
// address, and differs between the backends of a pool.
func Identity(b Backend) string {
	if b.Socket != "" {
		return b.String()
	}
	if a, err := netip.ParseAddr(b.Host); err == nil {
		b.Host = a.Unmap().String()
	}
	return strings.ToLower(b.String())
}

func duplicate(b Backend, where string) *value.Flaw {
	return value.Wrong(fmt.Sprintf("%s is there already, %s", b, where), "remove one; weight gives a backend more requests")
}

// ParseBackend reads a backend in the form of -b: host:port, [v6]:port, unix:/path or
// https://host[:port]. Its weight is 1. An error is an *Error without a position.
func ParseBackend(s string) (Backend, error) {
	b, f := parseBackend(s)
	if f != nil {
		return Backend{}, flagError("--backend", f)
	}
	return b, nil
}

func parseBackend(s string) (Backend, *value.Flaw) {
	if path := value.TrimUnix(s); path != s {
		return Backend{Socket: path, Weight: 1}, value.CheckSocket(path)
	}
	at, secure := s, false
	if scheme, rest, ok := strings.Cut(s, "://"); ok && strings.EqualFold(scheme, "https") {
		at, secure = strings.TrimSuffix(rest, "/"), true
		if host := strings.Trim(at, "[]"); !strings.Contains(host, ":") || at != host && strings.HasSuffix(at, "]") {
			at = net.JoinHostPort(host, strconv.Itoa(portHTTPS))
		}
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil || strings.Contains(at, "/") {
		return Backend{}, value.Wrong(fmt.Sprintf("%q is not host:port, [v6]:port, unix:/path or https://host", s), hints.Backend(s))
	}
	if f := value.CheckPort(port, 1); f != nil {
		return Backend{}, f
	}
	if f := value.CheckHost(host); f != nil {
		return Backend{}, f
	}
	n, _ := strconv.Atoi(port)
	return Backend{Host: host, Port: n, Weight: 1, TLS: secure || n == portHTTPS}, nil
}
