package dns

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/discover"
)

// report is one report of a service.
type report struct {
	list []config.Backend
	err  error
}

// reportsOf runs the service _http._tcp.web.test of c.
func reportsOf(t *testing.T, c *Client, least, most time.Duration) (*Service, chan report) {
	s, err := c.Service(config.Pool{Name: "web", Discover: "srv://_http._tcp.web.test", ResolveMin: least, ResolveMax: most})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reports, ended := make(chan report), make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, func(list []config.Backend, err error) {
			select {
			case reports <- report{list, err}:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return s, reports
}

// SRV records give port, weight and, by their priority, the backups.
func TestService(t *testing.T) {
	server := newServer(t, func(q *question) {
		const srv = "_http._tcp.web.test. 60 IN SRV "
		q.answer(0, srv+"10 5 80 b.test.", srv+"10 0 443 A.test.", srv+"20 7 81 c.test.", srv+"30 7 81 .", srv+"10 1 0 d.test.")
	})
	_, reports := reportsOf(t, clientOf(t, nil, server), time.Millisecond, time.Hour)
	got := <-reports
	want := []config.Backend{
		{Host: "b.test.", Port: 80, Weight: 5},
		{Host: "a.test.", Port: 443, Weight: 1, TLS: true},
		{Host: "c.test.", Port: 81, Weight: 7, Backup: true},
	}
	if got.err != nil || !slices.Equal(got.list, want) {
		t.Errorf("%+v, %v; want %+v", got.list, got.err, want)
	}
	if q := server.questions()[0]; q.kind() != "SRV" || q.name() != "_http._tcp.web.test." {
		t.Errorf("asked %v", q.Msg)
	}
}

// An error is reported as one, a service without servers as none, and a service that is
// asked for at once does not wait for its TTL.
func TestServiceChanges(t *testing.T) {
	server := newServer(t, func(q *question) { q.answer(dns.RcodeServerFailure) })
	_, reports := reportsOf(t, clientOf(t, nil, server), time.Millisecond, time.Millisecond)
	if got := <-reports; got.err == nil {
		t.Errorf("failed: %+v", got.list)
	}
	server.set(func(q *question) { q.answer(0, soa) })
	for got := range reports {
		if got.err == nil {
			if len(got.list) != 0 {
				t.Errorf("none: %+v", got.list)
			}
			break
		}
	}
	server.set(func(q *question) { q.answer(dns.RcodeNameError) })
	for got := range reports {
		if got.err != nil {
			break
		}
	}
	s, reports := reportsOf(t, clientOf(t, nil, server), time.Millisecond, time.Hour)
	server.set(func(q *question) { q.answer(0, "_http._tcp.web.test. 3600 IN SRV 0 0 80 b.test.") })
	for got := range reports {
		if got.err == nil {
			break
		}
	}
	n := server.times("")
	s.Ask()
	select {
	case <-reports:
	case <-time.After(testkit.Patience):
		t.Error("it is not asked for at once")
	}
	if server.times("") <= n {
		t.Error("a report without a question")
	}
}

func TestNoService(t *testing.T) {
	for _, url := range []string{"", "srv://", "srv://web.test", "srv://_http.web.test", "srv://_http._tcp", "srv://_http._tcp.web.test:80", "srv://_._tcp.web.test", "dns://web.test:80/x"} {
		if s, err := New().Service(config.Pool{Discover: url}); err == nil {
			t.Errorf("%s: %+v", url, s)
		}
	}
}

// A hub follows a service to the addresses of its servers.
func TestHubFollowsService(t *testing.T) {
	server := newServer(t, func(q *question) {
		switch q.kind() {
		case "SRV":
			q.answer(0, q.name()+" 1 IN SRV 1 5 8001 a.test.", q.name()+" 1 IN SRV 2 5 8002 b.test.")
		case "A":
			q.answer(0, fmt.Sprintf("%s 1 IN A 10.0.0.%d", q.name(), q.name()[0]))
		default:
			q.answer(0, soa)
		}
	})
	c := clientOf(t, nil, server)
	hub := discover.New(discover.Options{Log: testLog(t), Namer: c,
		Make: func(p config.Pool) (discover.Source, error) { return c.Service(p) }})
	defer hub.Close()
	cfg := &config.Config{Pools: []config.Pool{{Name: "web", Discover: "srv://_http._tcp.web.test"}}}
	hub.Follow(cfg)
	hub.Await(within(t))
	got := hub.Effective(cfg).Pools[0].Backends
	want := []config.Backend{
		{Host: "10.0.0.97", Name: "a.test", Port: 8001, Weight: 5},
		{Host: "10.0.0.98", Name: "b.test", Port: 8002, Weight: 5, Backup: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
