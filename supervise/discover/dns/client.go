// Package dns asks name servers: the addresses of names, and the servers of a service. It
// reads resolv.conf and /etc/hosts as the C library does, and does not wait as it does: the
// next server is asked 300 ms after the one before, the first answer counts, and the server
// that gave it is the first the next time. It caches nothing and has no schedule.
package dns

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"lb/supervise/discover"
)

// Client asks name servers. Any goroutine may use it.
type Client struct {
	conf  *file[conf]
	hosts *file[map[string][]netip.Addr]

	next, again time.Duration // nextAfter and againAfter

	mu   sync.Mutex
	good map[string]string // by the servers of a conf: the one that has answered last
	turn int               // for rotate
}

// New returns a Client by the files of this machine.
func New() *Client { return newClient("/etc/resolv.conf", "/etc/hosts") }

func newClient(resolvConf, hosts string) *Client {
	return &Client{
		conf:  &file[conf]{path: resolvConf, parse: func(text []byte) conf { return parseConf(text, domainOfHost()) }},
		hosts: &file[map[string][]netip.Addr]{path: hosts, parse: parseHosts},
		good:  map[string]string{},
		next:  nextAfter,
		again: againAfter,
	}
}

// confOf returns how a name server, or "" for the system's, is asked. A name that goes to a
// name server of a pool's is whole.
func (c *Client) confOf(resolver string) *conf {
	conf := c.conf.get()
	if resolver != "" {
		conf.servers, conf.search, conf.ndots = []string{resolver}, nil, 0
	}
	return &conf
}

// order returns the servers of a conf in the order in which they are asked.
func (c *Client) order(conf *conf) []string {
	list := make([]string, 0, len(conf.servers))
	c.mu.Lock()
	defer c.mu.Unlock()
	if conf.rotate {
		c.turn++
		at := c.turn % len(conf.servers)
		return append(append(list, conf.servers[at:]...), conf.servers[:at]...)
	}
	good := c.good[strings.Join(conf.servers, " ")]
	if good != "" {
		list = append(list, good)
	}
	for _, s := range conf.servers {
		if s != good {
			list = append(list, s)
		}
	}
	return list
}

func (c *Client) isGood(conf *conf, server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good[strings.Join(conf.servers, " ")] = server
}

// Addrs implements discover.Namer.
func (c *Client) Addrs(ctx context.Context, q discover.Query) (discover.Answer, error) {
	if a, ok := c.inHosts(q); ok {
		return a, nil
	}
	kind := dns.TypeA
	if q.IPv6 {
		kind = dns.TypeAAAA
	}
	conf := c.confOf(q.Resolver)
	none := discover.Answer{Rank: -1}
	var failed error
	for rank, name := range conf.names(q.Name) {
		if _, ok := dns.IsDomainName(name); !ok {
			continue
		}
		rep, err := c.ask(ctx, conf, name, kind)
		var code *codeError
		switch {
		case err == nil && len(rep.addrs) > 0:
			return discover.Answer{Addrs: rep.addrs, TTL: rep.ttl, Rank: rank, Partial: rep.partial}, nil
		case err == nil:
			if none.Rank < 0 {
				none = discover.Answer{TTL: rep.ttl, Rank: rank}
			}
		case errors.Is(err, discover.ErrNoName):
		case errors.As(err, &code) && rank != q.Known:
			failed = err // a name server that knows nothing of this domain may know the next
		default:
			return discover.Answer{}, err
		}
	}
	switch {
	case failed != nil:
		return discover.Answer{}, failed
	case none.Rank >= 0:
		return none, nil
	}
	return discover.Answer{}, discover.ErrNoName
}

// inHosts answers from /etc/hosts. What it has of a name holds for both families.
func (c *Client) inHosts(q discover.Query) (a discover.Answer, ok bool) {
	name := strings.TrimSuffix(strings.ToLower(q.Name), ".")
	all, ok := c.hosts.get()[name]
	if !ok && (name == "localhost" || strings.HasSuffix(name, ".localhost")) { // RFC 6761, 6.3
		all, ok = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true
	}
	for _, ip := range all {
		if ip.Is6() == q.IPv6 && isHost(ip) {
			a.Addrs = append(a.Addrs, ip)
		}
	}
	return a, ok
}

// reply is what an answer says.
type reply struct {
	addrs   []netip.Addr
	srv     []*dns.SRV
	ttl     time.Duration
	partial bool
}

// hopsMax is how often an alias without its target is followed by another question.
const hopsMax = 8

// ask asks for the records of a whole name, by way of its aliases.
func (c *Client) ask(ctx context.Context, conf *conf, name string, kind uint16) (reply, error) {
	rep := reply{ttl: math.MaxInt64}
	for range hopsMax {
		msg, err := c.exchange(ctx, conf, name, kind)
		if err != nil {
			return reply{}, err
		}
		last := rep.read(msg, name, kind)
		switch {
		case len(rep.addrs)+len(rep.srv) > 0:
			return rep, nil
		case msg.Rcode == dns.RcodeNameError:
			return reply{}, discover.ErrNoName
		case rep.negative(msg), strings.EqualFold(last, name):
			return rep, nil
		}
		name = last
	}
	return reply{}, fmt.Errorf("%s leads through more than %d aliases", name, hopsMax)
}

// read takes the records of name and its aliases from msg, and returns the last name of
// the chain.
func (r *reply) read(msg *dns.Msg, name string, kind uint16) string {
	r.partial = msg.Truncated
	least := func(rr dns.RR) { r.ttl = min(r.ttl, time.Duration(rr.Header().Ttl)*time.Second) }
	for range len(msg.Answer) + 1 {
		alias := ""
		for _, rr := range msg.Answer {
			if !strings.EqualFold(rr.Header().Name, name) || rr.Header().Class != dns.ClassINET {
				continue
			}
			switch rr := rr.(type) {
			case *dns.A:
				if ip, ok := netip.AddrFromSlice(rr.A.To4()); ok && kind == dns.TypeA && isHost(ip) {
					r.addrs = append(r.addrs, ip)
					least(rr)
				}
			case *dns.AAAA:
				if ip, ok := netip.AddrFromSlice(rr.AAAA); ok && kind == dns.TypeAAAA && isHost(ip) {
					r.addrs = append(r.addrs, ip)
					least(rr)
				}
			case *dns.SRV:
				if kind == dns.TypeSRV {
					r.srv = append(r.srv, rr)
					least(rr)
				}
			case *dns.CNAME:
				alias = rr.Target
				least(rr)
			}
		}
		if len(r.addrs)+len(r.srv) > 0 || alias == "" || strings.EqualFold(alias, name) {
			break
		}
		name = alias
	}
	return name
}

// isHost reports whether a server can be at ip. Name servers that block a name answer
// 0.0.0.0, which would be this machine.
func isHost(ip netip.Addr) bool { return !ip.IsUnspecified() && !ip.IsMulticast() }

// negative takes the time for which an answer without records holds (RFC 2308, 5), and
// reports whether it has one.
func (r *reply) negative(msg *dns.Msg) bool {
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			r.ttl = min(r.ttl, time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second)
			return true
		}
	}
	return false
}

// Routed reports whether this machine has a way to ip. It sends nothing.
func Routed(ip netip.Addr) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 9)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}
