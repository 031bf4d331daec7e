package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lb/internal/testkit"
)

// nameServer knows the addresses of app.test. Without any it is silent.
type nameServer struct {
	addr string

	mu    sync.Mutex
	ips   []string
	asked int // for A
}

func startNameServer(t *testing.T, ips ...string) *nameServer {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{addr: c.LocalAddr().String(), ips: ips}
	s := &dns.Server{PacketConn: c, Handler: n}
	ended := make(chan struct{})
	go func() { defer close(ended); s.ActivateAndServe() }()
	t.Cleanup(func() { c.Close(); <-ended })
	return n
}

// ServeDNS implements dns.Handler.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ips) == 0 {
		return
	}
	m := new(dns.Msg).SetReply(q)
	if q.Question[0].Qtype == dns.TypeA {
		n.asked++
		for _, ip := range n.ips {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600}, A: net.ParseIP(ip)})
		}
	}
	w.WriteMsg(m)
}

func (n *nameServer) set(ips ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ips = ips
}

func (n *nameServer) times() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// serversAt returns a server for each of ips, on one port, that answers with its address.
func serversAt(t *testing.T, ips ...string) (port string, servers map[string]*httptest.Server) {
	t.Helper()
	servers = map[string]*httptest.Server{}
	testkit.Until(t, "a port that is free at all addresses", func() bool {
		port = "0"
		var list []net.Listener
		for _, ip := range ips {
			l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
			if err != nil {
				for _, l := range list {
					l.Close()
				}
				return false
			}
			_, port, _ = net.SplitHostPort(l.Addr().String())
			list = append(list, l)
		}
		for i, ip := range ips {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, ip) }))
			s.Listener.Close()
			s.Listener = list[i]
			s.Start()
			t.Cleanup(s.Close)
			servers[ip] = s
		}
		return true
	})
	return port, servers
}

// answered returns which address answers the next request, which has to be good.
func (s *service) answered(c *http.Client) string {
	s.t.Helper()
	resp, body := get(s.t, c, s.url("/"))
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", resp.Status, body)
	}
	return body
}

// A name that has moved is asked for as soon as connects to an old address fail, whatever
// its TTL, and no request is lost. The next start knows the addresses, though no name
// server answers.
func TestNameMoves(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		const a, b, c = "127.0.3.1", "127.0.3.2", "127.0.3.3"
		port, servers := serversAt(t, a, b, c)
		n := startNameServer(t, a, b)
		s := begin(t, mode, setup{keys: fmt.Sprintf("resolver = %q\nresolve_max = \"1h\"\n", n.addr),
			tables: fmt.Sprintf("[[backends]]\nhost = \"app.test\"\nport = %s\n", port)})
		client := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
		seen := map[string]bool{}
		testkit.Until(t, "both addresses", func() bool { seen[s.answered(client)] = true; return seen[a] && seen[b] })
		asked := n.times()
		n.set(a, c)
		servers[b].Close()
		testkit.Until(t, "the new address", func() bool { return s.answered(client) == c })
		if more := n.times() - asked; more < 1 {
			t.Errorf("asked %d times after the address had moved", more)
		}
		testkit.Until(t, "a log line", func() bool {
			return s.told("pool has other members", "added="+c+":"+port, "removed="+b+":"+port, `source="name app.test"`) == 1
		})
		if d := s.status().Discovery; len(d) != 1 || d[0].Source != "app.test" || !d[0].Up || d[0].Backends != 2 || d[0].Resolver != n.addr || d[0].Changes != 2 {
			t.Errorf("discovery: %+v", d)
		}
		if out := s.want("status"); !strings.Contains(out, "app.test (at "+n.addr+")") {
			t.Errorf("status: %s", out)
		}

		n.set()
		s.stop()
		begun := time.Now()
		s.start()
		if got := s.answered(client); got != a && got != c {
			t.Errorf("answered by %s", got)
		}
		t.Logf("a start with a silent name server took %v", time.Since(begun))
	})
}

// A source is followed in the place of [[backends]].
func TestDNSSource(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		const a, b = "127.0.3.1", "127.0.3.2"
		port, _ := serversAt(t, a, b)
		n := startNameServer(t, a)
		s := begin(t, mode, setup{keys: fmt.Sprintf("resolver = %q\nresolve_max = \"1s\"\ndiscover = \"dns://app.test:%s\"\n", n.addr, port)})
		client := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
		if got := s.answered(client); got != a {
			t.Errorf("answered by %s", got)
		}
		n.set(b)
		testkit.Until(t, "the other address", func() bool { return s.answered(client) == b })
	})
}
