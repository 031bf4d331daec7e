package dns

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lb/internal/testkit"
	"lb/supervise/discover"
)

const soa = "test. 60 IN SOA ns.test. root.test. 1 2 3 4 7"

// told is a question, and its outcome.
type told struct {
	what  string
	say   func(q *question)
	addrs []string
	ttl   time.Duration
	err   string // in the error
	asked int    // questions; 0: any number
}

var tellings = []told{
	{"an address", func(q *question) { q.answer(0, "app.test. 5 IN A 10.0.0.1", "app.test. 3 IN A 10.0.0.2") },
		[]string{"10.0.0.1", "10.0.0.2"}, 3 * time.Second, "", 1},
	{"an alias", func(q *question) {
		q.answer(0, "b.test. 9 IN CNAME c.test.", "APP.test. 8 IN CNAME B.test.", "c.test. 30 IN A 10.0.0.1", "x.test. 1 IN A 10.6.6.6")
	}, []string{"10.0.0.1"}, 8 * time.Second, "", 1},
	{"an alias without its target", func(q *question) {
		if q.name() == "app.test." {
			q.answer(0, "app.test. 8 IN CNAME c.test.")
		} else {
			q.answer(0, q.name()+" 30 IN A 10.0.0.1")
		}
	}, []string{"10.0.0.1"}, 8 * time.Second, "", 2},
	{"an alias to nothing", func(q *question) { q.answer(dns.RcodeNameError, "app.test. 8 IN CNAME c.test.", soa) }, nil, 0, "there is no such name", 1},
	{"aliases in a circle", func(q *question) { q.answer(0, "app.test. 8 IN CNAME c.test.", "c.test. 8 IN CNAME app.test.") }, nil, 0, "aliases", 0},
	{"ever more aliases", func(q *question) { q.answer(0, q.name()+" 8 IN CNAME x"+q.name()) }, nil, 0, "aliases", hopsMax},
	{"no such name", func(q *question) { q.answer(dns.RcodeNameError, soa) }, nil, 0, "there is no such name", 1},
	{"no address", func(q *question) { q.answer(0, soa) }, nil, 7 * time.Second, "", 1},
	{"no address, for ever", func(q *question) { q.answer(0) }, nil, math.MaxInt64, "", 1},
	{"a failure", func(q *question) { q.answer(dns.RcodeServerFailure) }, nil, 0, "SERVFAIL", 1},
	{"a refusal without the question", func(q *question) {
		q.send(q.packed(func(m *dns.Msg) { m.Rcode, m.Question = dns.RcodeRefused, nil }))
	}, nil, 0, "REFUSED", 1},
	{"a referral", func(q *question) {
		q.send(q.packed(func(m *dns.Msg) { m.RecursionAvailable = false }, "test. 60 IN NS ns.test."))
	}, nil, 0, "refers to others", 1},
	{"no EDNS", func(q *question) {
		if q.IsEdns0() != nil {
			q.answer(dns.RcodeFormatError)
		} else {
			q.answer(0, "app.test. 5 IN A 10.0.0.1")
		}
	}, []string{"10.0.0.1"}, 5 * time.Second, "", 2},
	{"nothing with EDNS", func(q *question) {
		if q.IsEdns0() == nil {
			q.answer(0, "app.test. 5 IN A 10.0.0.1")
		}
	}, []string{"10.0.0.1"}, 5 * time.Second, "", 0},
	{"addresses of no server", func(q *question) { q.answer(0, "app.test. 5 IN A 0.0.0.0", "app.test. 5 IN A 224.0.0.1", soa) }, nil, 7 * time.Second, "", 1},
	{"a lost datagram", func(q *question) {
		if q.n >= 2 {
			q.answer(0, "app.test. 5 IN A 10.0.0.1")
		}
	}, []string{"10.0.0.1"}, 5 * time.Second, "", 0},
	{"answers to others first", func(q *question) {
		for _, edit := range []func(m *dns.Msg){
			func(m *dns.Msg) { m.Id++ },
			func(m *dns.Msg) { m.Question[0].Name = "other.test." },
			func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
			func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
			func(m *dns.Msg) { m.Response = false },
			func(m *dns.Msg) { m.Question = nil },
			func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeNameError },
			func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
		} {
			q.send(q.packed(edit, "app.test. 5 IN A 10.6.6.6"))
		}
		q.send(nil)
		q.send([]byte{1})
		q.answer(0, "app.test. 5 IN A 10.0.0.1")
	}, []string{"10.0.0.1"}, 5 * time.Second, "", 1},
	{"what cannot be read", func(q *question) {
		raw := q.packed(nil, "app.test. 5 IN A 10.0.0.1")
		q.send(raw[:len(raw)-2])
	}, nil, 0, "cannot be read", 1},
	{"too much for a datagram", func(q *question) {
		if q.network == "udp" {
			q.send(q.packed(func(m *dns.Msg) { m.Truncated = true }, "app.test. 5 IN A 10.0.0.1"))
		} else {
			q.answer(0, "app.test. 5 IN A 10.0.0.1", "app.test. 5 IN A 10.0.0.2")
		}
	}, []string{"10.0.0.1", "10.0.0.2"}, 5 * time.Second, "", 2},
	{"a datagram above the size asked for", func(q *question) {
		var records []string
		for i := range 200 {
			records = append(records, fmt.Sprintf("app.test. 5 IN A 10.0.0.%d", i))
		}
		q.answer(0, records...)
	}, nil, 5 * time.Second, "", 1},
}

func TestAnswers(t *testing.T) {
	for _, tc := range tellings {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tc.say)
			c := clientOf(t, nil, s)
			if tc.asked != 0 {
				c.again = testkit.Patience // a machine may take its time
			}
			a, err := c.Addrs(within(t), discover.Query{Name: "app.test", Known: -1})
			switch {
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Fatalf("error %v, want one with %q", err, tc.err)
			case tc.err == "" && err != nil:
				t.Fatal(err)
			}
			if got := addrsOf(a.Addrs); !slices.Equal(got, tc.addrs) && len(got) != 200 || a.TTL != tc.ttl {
				t.Errorf("%v for %v, want %v for %v", got, a.TTL, tc.addrs, tc.ttl)
			}
			if n := s.times(""); tc.asked != 0 && n != tc.asked {
				t.Errorf("%d questions, want %d", n, tc.asked)
			}
		})
	}
}

func good(q *question) { q.answer(0, q.name()+" 5 IN A 10.0.0.1") }

// A silent server, one that fails, and one that is not there leave the question to the
// next, which is the first from then on.
func TestNextServer(t *testing.T) {
	gone := newServer(t, silent)
	gone.udp.Close()
	for what, first := range map[string]*server{
		"silent": newServer(t, silent),
		"fails":  newServer(t, func(q *question) { q.answer(dns.RcodeServerFailure) }),
		"gone":   gone,
	} {
		t.Run(what, func(t *testing.T) {
			second := newServer(t, good)
			c := clientOf(t, nil, first, second)
			if what != "silent" {
				c.next = testkit.Patience // errors do not wait for it
			}
			for range 3 {
				a, err := c.Addrs(within(t), discover.Query{Name: "app.test"})
				if err != nil || len(a.Addrs) != 1 {
					t.Fatalf("%v, %v", a, err)
				}
				if order := c.order(c.confOf("")); order[0] != second.addr || order[1] != first.addr {
					t.Errorf("the next order is %v", order)
				}
			}
			if n := first.times(""); what == "fails" && n != 1 {
				t.Errorf("the first server was asked %d times", n)
			}
			second.set(silent)
			first.set(good)
			if what != "silent" {
				return
			}
			if _, err := c.Addrs(within(t), discover.Query{Name: "app.test"}); err != nil {
				t.Errorf("the first server is back, and the second silent: %v", err)
			}
		})
	}
}

// Servers that do not answer are named in the error, which comes in a bounded time.
func TestSilence(t *testing.T) {
	a, b := newServer(t, silent), newServer(t, silent)
	c := clientOf(t, func(conf *conf) { conf.timeout = time.Second }, a, b)
	_, err := c.Addrs(within(t), discover.Query{Name: "app.test"})
	if err == nil || !strings.Contains(err.Error(), a.addr) || !strings.Contains(err.Error(), b.addr) {
		t.Errorf("error %v", err)
	}
	testkit.Until(t, "two questions to each", func() bool { return a.times("") == 2 && b.times("") == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := c.Addrs(ctx, discover.Query{Name: "cancelled.test"})
		ended <- err
	}()
	testkit.Until(t, "the question", func() bool { return a.times("cancelled.test.")+b.times("cancelled.test.") > 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A part of the addresses, without a way to the others, says that it is one.
func TestPartial(t *testing.T) {
	s := newServer(t, func(q *question) {
		q.send(q.packed(func(m *dns.Msg) { m.Truncated = true }, "app.test. 5 IN A 10.0.0.1"))
	})
	s.tcp.Close()
	a, err := clientOf(t, nil, s).Addrs(within(t), discover.Query{Name: "app.test"})
	if err != nil || !a.Partial || len(a.Addrs) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

// Nobody can guess the number and the port of the next question.
func TestRandomQuestions(t *testing.T) {
	s := newServer(t, good)
	c := clientOf(t, nil, s)
	for range 16 {
		if _, err := c.Addrs(within(t), discover.Query{Name: "app.test"}); err != nil {
			t.Fatal(err)
		}
	}
	ids, ports := map[uint16]bool{}, map[string]bool{}
	for _, q := range s.questions() {
		ids[q.Id], ports[q.from] = true, true
		if !q.RecursionDesired || q.IsEdns0() == nil || q.IsEdns0().UDPSize() != udpBytes {
			t.Errorf("question %v", q.Msg)
		}
	}
	if len(ids) < 14 || len(ports) < 14 {
		t.Errorf("16 questions had %d numbers and %d ports", len(ids), len(ports))
	}
}

// search is a table of what is asked for a short name.
func TestSearch(t *testing.T) {
	s := newServer(t, func(q *question) {
		switch {
		case strings.HasPrefix(q.name(), "fails.one."):
			q.answer(dns.RcodeServerFailure)
		case strings.HasPrefix(q.name(), "none.one."):
			q.answer(0, soa)
		case strings.HasSuffix(q.name(), ".two."), q.name() == "a.b.", q.name() == "dot.":
			good(q)
		default:
			q.answer(dns.RcodeNameError)
		}
	})
	c := clientOf(t, func(conf *conf) { conf.search = []string{"one.", "two."} }, s)
	c.again = testkit.Patience
	for _, tc := range []struct {
		name  string
		known int
		asked []string
		rank  int
		found bool
	}{
		{"app", -1, []string{"app.one.", "app.two."}, 1, true},
		{"dot.", -1, []string{"dot."}, 0, true},
		{"a.b", -1, []string{"a.b."}, 0, true},
		{"c.d", -1, []string{"c.d.", "c.d.one.", "c.d.two."}, 2, true},
		{"none", -1, []string{"none.one.", "none.two."}, 1, true},
		{"fails", -1, []string{"fails.one.", "fails.two."}, 1, true},
		{"fails", 0, []string{"fails.one."}, 0, false}, // what is known holds, not another name
	} {
		s.forget()
		a, err := c.Addrs(within(t), discover.Query{Name: tc.name, Known: tc.known})
		var asked []string
		for _, q := range s.questions() {
			asked = append(asked, q.name())
		}
		if !slices.Equal(asked, tc.asked) || (err == nil) != tc.found || a.Rank != tc.rank {
			t.Errorf("%s: asked %v, rank %d, %v; want %v, rank %d", tc.name, asked, a.Rank, err, tc.asked, tc.rank)
		}
	}
	s.forget()
	c.Addrs(within(t), discover.Query{Name: "app", Resolver: s.addr})
	if q := s.questions(); len(q) != 1 || q[0].name() != "app." {
		t.Errorf("a name for a name server of the pool's is not whole: %d questions", len(q))
	}
}

// /etc/hosts comes first, for both families, and is read again when it changes.
func TestHosts(t *testing.T) {
	s := newServer(t, good)
	c := clientOf(t, nil, s)
	of := func(name string, v6 bool) []string {
		a, err := c.Addrs(within(t), discover.Query{Name: name, IPv6: v6})
		if err != nil {
			t.Error(err)
		}
		return addrsOf(a.Addrs)
	}
	for _, name := range []string{"localhost", "x.localhost"} {
		if v4, v6 := of(name, false), of(name, true); !slices.Equal(v4, []string{"127.0.0.1"}) || !slices.Equal(v6, []string{"::1"}) {
			t.Errorf("%s: %v, %v", name, v4, v6)
		}
	}
	write := func(text string) {
		testkit.WriteFile(t, c.hosts.path, text)
	}
	write("10.0.0.7 App.test # comment\n::ffff:10.0.0.8 app.test\n")
	testkit.Until(t, "the new hosts", func() bool {
		return slices.Equal(of("APP.test.", false), []string{"10.0.0.7", "10.0.0.8"}) && len(of("app.test", true)) == 0
	})
	os.Remove(c.hosts.path)
	testkit.Until(t, "no hosts", func() bool { return slices.Equal(of("app.test", false), []string{"10.0.0.1"}) })
}

// resolv.conf is read again when it changes.
func TestResolvConfChanges(t *testing.T) {
	dir := t.TempDir()
	c := newClient(dir+"/resolv.conf", dir+"/hosts")
	if got := c.conf.get().servers; !slices.Equal(got, []string{"127.0.0.1:53", "[::1]:53"}) {
		t.Errorf("without a file: %v", got)
	}
	for _, ip := range []string{"10.0.0.1", "10.0.0.2"} {
		testkit.WriteFile(t, c.conf.path, "nameserver "+ip+"\n")
		testkit.Until(t, ip, func() bool { return slices.Equal(c.conf.get().servers, []string{ip + ":53"}) })
	}
}

func TestRotate(t *testing.T) {
	a, b := newServer(t, good), newServer(t, good)
	c := clientOf(t, func(conf *conf) { conf.rotate = true }, a, b)
	for range 6 {
		if _, err := c.Addrs(within(t), discover.Query{Name: "app.test"}); err != nil {
			t.Fatal(err)
		}
	}
	if a.times("") < 3 || b.times("") < 3 {
		t.Errorf("asked %d and %d times", a.times(""), b.times(""))
	}
}

func TestUseTCP(t *testing.T) {
	s := newServer(t, good)
	if _, err := clientOf(t, func(conf *conf) { conf.tcp = true }, s).Addrs(within(t), discover.Query{Name: "app.test"}); err != nil || s.questions()[0].network != "tcp" {
		t.Errorf("%v, %v", err, s.questions())
	}
}
