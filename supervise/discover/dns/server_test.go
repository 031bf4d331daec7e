package dns

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"lb/internal/testkit"
)

// server is a name server that does what the test says, by UDP and TCP on one port.
type server struct {
	*testing.T
	addr string
	udp  net.PacketConn
	tcp  net.Listener

	mu    sync.Mutex
	say   func(q *question)
	asked []question
}

// question is one that a server got.
type question struct {
	*dns.Msg
	network string
	from    string
	n       int // of those with this name and type, from 1
	send    func(raw []byte)
}

func (q *question) name() string { return q.Question[0].Name }
func (q *question) kind() string { return dns.TypeToString[q.Question[0].Qtype] }

// answer sends an answer with a code and records, in the form of a zone.
func (q *question) answer(code int, records ...string) {
	q.send(q.packed(func(m *dns.Msg) { m.Rcode = code }, records...))
}

// packed returns an answer that edit has changed.
func (q *question) packed(edit func(m *dns.Msg), records ...string) []byte {
	m := new(dns.Msg)
	m.SetReply(q.Msg)
	m.RecursionAvailable = true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if rr.Header().Rrtype == dns.TypeSOA || rr.Header().Rrtype == dns.TypeNS {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	if edit != nil {
		edit(m)
	}
	raw, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return raw
}

func silent(*question) {}

// newServer returns a server that does as say says.
func newServer(t *testing.T, say func(q *question)) *server {
	t.Helper()
	s := &server{T: t, say: say}
	for s.udp == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if s.udp, err = net.ListenPacket("udp", l.Addr().String()); err != nil {
			l.Close() // another has the port for UDP
			continue
		}
		s.tcp, s.addr = l, l.Addr().String()
	}
	var all sync.WaitGroup
	all.Go(s.serveUDP)
	all.Go(s.serveTCP)
	t.Cleanup(func() {
		s.udp.Close()
		s.tcp.Close()
		all.Wait()
	})
	return s
}

func (s *server) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		s.handle("udp", from.String(), buf[:n], func(raw []byte) { s.udp.WriteTo(raw, from) })
	}
}

func (s *server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		var length uint16
		if binary.Read(c, binary.BigEndian, &length) == nil {
			raw := make([]byte, length)
			io.ReadFull(c, raw)
			s.handle("tcp", c.RemoteAddr().String(), raw, func(raw []byte) {
				c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...))
			})
		}
		c.Close()
	}
}

func (s *server) handle(network, from string, raw []byte, send func([]byte)) {
	q := question{Msg: new(dns.Msg), network: network, from: from, send: send}
	if err := q.Unpack(raw); err != nil || len(q.Question) != 1 {
		s.Errorf("asked what is no question: %v", err)
		return
	}
	s.mu.Lock()
	q.n = 1
	for _, had := range s.asked {
		if had.Question[0] == q.Question[0] {
			q.n++
		}
	}
	s.asked = append(s.asked, q)
	say := s.say
	s.mu.Unlock()
	say(&q)
}

// times returns how often a name was asked for; "" counts all.
func (s *server) times(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.asked {
		if name == "" || q.name() == name {
			n++
		}
	}
	return n
}

// questions returns those that were asked so far.
func (s *server) questions() []question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// forget drops the questions.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

func (s *server) set(say func(q *question)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say = say
}

// clientOf returns a client of servers, as edit changes its conf, without hosts.
func clientOf(t *testing.T, edit func(*conf), servers ...*server) *Client {
	dir := t.TempDir()
	c := newClient(filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "hosts"))
	c.conf.parse = func([]byte) conf {
		conf := conf{ndots: 1, timeout: testkit.Patience, attempts: 2}
		for _, s := range servers {
			conf.servers = append(conf.servers, s.addr)
		}
		if edit != nil {
			edit(&conf)
		}
		return conf
	}
	return c
}

// testLog returns a log that the test shows if it fails.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// addrsOf returns addresses as text.
func addrsOf(list []netip.Addr) (out []string) {
	for _, ip := range list {
		out = append(out, ip.String())
	}
	return out
}

// within fails the test if ctx takes too long; it is the context of a question.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	t.Cleanup(cancel)
	return ctx
}
