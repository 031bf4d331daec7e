package dns

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// conf is what resolv.conf says.
type conf struct {
	servers  []string // host:port
	search   []string // with a dot at the end
	ndots    int
	timeout  time.Duration // of one question to one server
	attempts int
	rotate   bool
	tcp      bool // use-vc
}

const (
	serversMax  = 8 // of those in resolv.conf
	searchMax   = 32
	ndotsMax    = 15 // these two are the resolver's of glibc
	attemptsMax = 5
	// timeoutMax bounds the timeout, because of which nothing waits as in other programs:
	// the next server is asked long before.
	timeoutMax = 2 * time.Second
)

// parseConf reads resolv.conf. What it does not know it skips, as all resolvers do.
// domain is that of this machine, for a file that names none.
func parseConf(text []byte, domain string) conf {
	c := conf{ndots: 1, timeout: timeoutMax, attempts: 2}
	if domain != "" {
		c.search = []string{domain + "."}
	}
	for line := range bytes.Lines(text) {
		if i := bytes.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		f := strings.Fields(string(line))
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if ip, err := netip.ParseAddr(f[1]); err == nil && len(c.servers) < serversMax {
				c.servers = append(c.servers, net.JoinHostPort(ip.String(), "53"))
			}
		case "domain":
			c.search = domains(f[1:2])
		case "search":
			c.search = domains(f[1:])
		case "options":
			for _, o := range f[1:] {
				c.option(o)
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []string{"127.0.0.1:53", "[::1]:53"}
	}
	return c
}

func domains(list []string) (out []string) {
	for _, d := range list {
		if d = strings.Trim(d, "."); d != "" && len(out) < searchMax {
			out = append(out, d+".")
		}
	}
	return out
}

func (c *conf) option(o string) {
	key, value, _ := strings.Cut(o, ":")
	n, err := strconv.Atoi(value)
	good := err == nil && n >= 0
	switch {
	case key == "rotate":
		c.rotate = true
	case key == "use-vc":
		c.tcp = true
	case key == "ndots" && good:
		c.ndots = min(n, ndotsMax)
	case key == "timeout" && good:
		c.timeout = min(max(time.Duration(min(n, 60))*time.Second, 100*time.Millisecond), timeoutMax)
	case key == "attempts" && good:
		c.attempts = min(max(n, 1), attemptsMax)
	}
}

// names returns the whole names that are tried for a name, in order.
func (c *conf) names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	whole := name + "."
	var list []string
	early := strings.Count(name, ".") >= c.ndots
	if early {
		list = append(list, whole)
	}
	for _, domain := range c.search {
		list = append(list, whole+domain)
	}
	if !early {
		list = append(list, whole)
	}
	return list
}

// parseHosts reads /etc/hosts: the addresses of names, which are in small letters.
func parseHosts(text []byte) map[string][]netip.Addr {
	hosts := map[string][]netip.Addr{}
	for line := range bytes.Lines(text) {
		if i := bytes.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		f := strings.Fields(string(line))
		if len(f) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(f[0])
		if err != nil {
			continue
		}
		for _, name := range f[1:] {
			if name = strings.ToLower(strings.TrimSuffix(name, ".")); name != "" {
				hosts[name] = append(hosts[name], ip.Unmap())
			}
		}
	}
	return hosts
}

// file is a file that is read again when it has changed.
type file[T any] struct {
	path  string
	parse func(text []byte) T

	mu     sync.Mutex
	looked time.Time
	info   os.FileInfo // of the version that was read; nil if there was none
	value  T
	read   bool
}

// lookEvery is how often a file is looked at, at most.
const lookEvery = 250 * time.Millisecond

// get returns what the file says; one that cannot be read is as an empty one, unless it
// was read before.
func (f *file[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.read && now.Sub(f.looked) < lookEvery {
		return f.value
	}
	f.looked = now
	info, err := os.Stat(f.path)
	if err != nil {
		if !f.read || os.IsNotExist(err) && f.info != nil {
			f.value, f.info, f.read = f.parse(nil), nil, true
		}
		return f.value
	}
	if f.info != nil && os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) {
		return f.value
	}
	text, err := os.ReadFile(f.path)
	if err != nil && f.read {
		return f.value
	}
	f.value, f.info, f.read = f.parse(text), info, true
	return f.value
}

// domainOfHost returns the domain in which this machine is, or "".
func domainOfHost() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	_, domain, _ := strings.Cut(name, ".")
	return strings.Trim(domain, ".")
}
