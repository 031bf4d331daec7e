// Package discovery has the forms of URLs that say where the backends of a pool are found.
// Like config, it opens nothing.
package discovery

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"lb/config/value"
	"lb/internal/redact"
)

// The schemes of sources.
const (
	DNS    = "dns"    // dns://name:port
	SRV    = "srv"    // srv://_service._proto.name
	Consul = "consul" // consul://host:port/service
	Etcd   = "etcd"   // etcd://host:port,host:port/prefix
	File   = "file"   // file:///path, or file:path for one that begins at the folder of the configuration
	Docker = "docker" // docker:///path of the unix socket
)

// URL is where the backends of a pool are found.
type URL struct {
	Scheme string
	User   *url.Userinfo // or nil
	Hosts  []string      // host:port, or a name alone for SRV; one, but for Etcd; none for File and Docker
	Path   string        // decoded; of File and Docker the path of the file or the socket
	Query  url.Values
}

// parameters are the names that the query of each scheme may have.
var parameters = map[string][]string{
	DNS:    {},
	SRV:    {},
	Consul: {"tag", "dc", "near", "token", "token_file", "scheme", "ca", "ns", "partition"},
	Etcd:   {"ca", "cert", "key", "tls", "server_name", "password_file"},
	File:   {},
	Docker: {"network"},
}

const hint = `write one such as "dns://web.internal:8080", "srv://_http._tcp.web.internal", "consul://127.0.0.1:8500/web", ` +
	`"etcd://127.0.0.1:2379/lb/web/", "file:///etc/lb/web.json" or "docker:///run/docker.sock"`

// Check accepts the URLs of sources, and "" for none.
func Check(s string) *value.Flaw {
	if s == "" {
		return nil
	}
	_, f := Parse(s)
	return f
}

// Parse reads the URL of a source. A flaw does not show credentials.
func Parse(s string) (u URL, f *value.Flaw) {
	if path, ok := bareFile(s); ok {
		return URL{Scheme: File, Path: path}, nil
	}
	scheme, rest, ok := strings.Cut(s, "://")
	u.Scheme = strings.ToLower(scheme)
	known, is := parameters[u.Scheme]
	if !ok || !is {
		return u, value.NoURL(s, hint)
	}
	// net/url takes one host only.
	place, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		place, tail = rest[:i], rest[i:]
	}
	user, hosts := "", place
	if i := strings.LastIndexByte(place, '@'); i >= 0 {
		user, hosts = place[:i+1], place[i+1:]
	}
	if user == "" && u.torn(place, tail) {
		return u, value.Wrong("has a user or a password that is not percent-encoded well", "write % as %25, @ as %40, / as %2F, ? as %3F, # as %23")
	}
	parsed, err := url.Parse("x://" + user + "h" + tail)
	if err != nil || parsed.Fragment != "" {
		return u, value.NoURL(redact.URL(s), hint)
	}
	u.User, u.Path, u.Query = parsed.User, parsed.Path, parsed.Query()
	for name := range u.Query {
		if !slices.Contains(known, name) {
			return u, value.Wrong(fmt.Sprintf("%s:// has no parameter %q", u.Scheme, name), parametersText(known))
		}
	}
	if hosts != "" {
		u.Hosts = strings.Split(hosts, ",")
	}
	return u, u.check()
}

// torn reports whether place ends within a password: there is a slash, or what else ends hosts,
// in it, and tail has the rest.
func (u *URL) torn(place, tail string) bool {
	return (u.Scheme == Etcd || u.Scheme == Consul) && strings.Contains(tail, "@") &&
		slices.ContainsFunc(strings.Split(place, ","), func(h string) bool { return u.checkHost(h) != nil })
}

// bareFile returns the path in file:path.
func bareFile(s string) (path string, ok bool) {
	const prefix = File + ":"
	if len(s) <= len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) || strings.HasPrefix(s[len(prefix):], "//") {
		return "", false
	}
	path, err := url.PathUnescape(s[len(prefix):])
	return path, err == nil && value.CheckFile(path) == nil
}

// filesIn are the parameters whose values are paths.
var filesIn = []string{"ca", "cert", "key", "token_file", "password_file"}

// Anchor returns s, a URL that Check accepts, with every path in it that does not begin with
// a slash put below folder.
func Anchor(s, folder string) string {
	u, f := Parse(s)
	if f != nil || s == "" {
		return s
	}
	if u.Scheme == File && !filepath.IsAbs(u.Path) {
		return (&url.URL{Scheme: File, Path: filepath.Join(folder, u.Path)}).String()
	}
	moved := false
	for _, name := range filesIn {
		for i, path := range u.Query[name] {
			if path != "" && !filepath.IsAbs(path) {
				u.Query[name][i], moved = filepath.Join(folder, path), true
			}
		}
	}
	if !moved {
		return s
	}
	before, _, _ := strings.Cut(s, "?")
	return before + "?" + u.Query.Encode()
}

func parametersText(known []string) string {
	if len(known) == 0 {
		return "it has none"
	}
	return "use " + strings.Join(known, ", ")
}

// check checks what differs between schemes.
func (u *URL) check() *value.Flaw {
	switch {
	case u.Scheme == File || u.Scheme == Docker:
		if len(u.Hosts) > 0 || !filepath.IsAbs(u.Path) {
			hint := fmt.Sprintf("write three slashes: %s:///path", u.Scheme)
			if u.Scheme == File {
				hint += ", or file:path for one that begins at the folder of the configuration"
			}
			return value.Wrong(fmt.Sprintf("%s:// is not followed by a path from the root on", u.Scheme), hint)
		}
		return nil
	case len(u.Hosts) == 0:
		return value.Wrong("names no host", hint)
	case len(u.Hosts) > 1 && u.Scheme != Etcd:
		return value.Wrong(fmt.Sprintf("%s:// takes one host", u.Scheme), "name one")
	case u.User != nil && (u.Scheme == DNS || u.Scheme == SRV):
		return value.Wrong("has a user name in it", "leave it out")
	}
	for _, h := range u.Hosts {
		if f := u.checkHost(h); f != nil {
			return f
		}
	}
	name := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case DNS, SRV:
		if name != "" {
			return value.Wrong(fmt.Sprintf("has a path, and %s:// has none", u.Scheme), "leave it out")
		}
	case Consul:
		if name == "" || strings.Contains(name, "/") {
			return value.Wrong("names no service", `write it after the host: "consul://127.0.0.1:8500/web"`)
		}
		return u.checkConsul()
	case Etcd:
		if name == "" {
			return value.Wrong("names no prefix of keys", `write it after the host: "etcd://127.0.0.1:2379/lb/web/"`)
		}
	}
	return nil
}

func (u *URL) checkConsul() *value.Flaw {
	switch scheme := u.Query.Get("scheme"); {
	case scheme != "" && scheme != "http" && scheme != "https":
		return value.OneOf(scheme, "scheme", "http", "https")
	case u.Query.Has("token") && u.Query.Has("token_file"):
		return value.Wrong("has both token and token_file", "keep one of the two")
	case u.Query.Has("ca") && scheme != "https":
		return value.Wrong("has a ca that is not used", "add scheme=https, or leave it out")
	}
	return nil
}

func (u *URL) checkHost(h string) *value.Flaw {
	if u.Scheme == SRV {
		if strings.Contains(h, ":") {
			return value.Wrong("has a port, which SRV records give", "leave it out")
		}
		labels := strings.SplitN(h, ".", 3)
		if len(labels) < 3 || len(labels[0]) < 2 || labels[0][0] != '_' || len(labels[1]) < 2 || labels[1][0] != '_' {
			return value.Wrong(fmt.Sprintf("%q is not the name of a service", h), `write one such as "srv://_http._tcp.web.internal"`)
		}
		return value.CheckHost(strings.ReplaceAll(h, "_", "")) // names of services begin with underscores
	}
	host, port, err := net.SplitHostPort(h)
	if err != nil {
		return value.Wrong(fmt.Sprintf("%q has no port", h), "write host:port")
	}
	if f := value.CheckPort(port, 1); f != nil {
		return f
	}
	return value.CheckHost(host)
}
