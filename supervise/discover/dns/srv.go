package dns

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/miekg/dns"

	"lb/config"
	"lb/config/discovery"
	"lb/supervise/discover"
)

// Service is the servers of a service, from its SRV records (RFC 2782): srv://_http._tcp.web.internal.
type Service struct {
	c        *Client
	name     string
	pool     config.Pool
	now      chan struct{}
	min, max time.Duration
}

// Service returns the source of a pool whose Discover begins with srv://.
func (c *Client) Service(pool config.Pool) (*Service, error) {
	u, flaw := discovery.Parse(pool.Discover)
	if flaw != nil {
		return nil, errors.New(flaw.What)
	}
	s := &Service{c: c, name: u.Hosts[0], pool: pool, now: make(chan struct{}, 1), min: pool.ResolveMin, max: pool.ResolveMax}
	if s.min == 0 {
		s.min = time.Second
	}
	if s.max == 0 {
		s.max = 30 * time.Second
	}
	s.max = max(s.max, s.min)
	return s, nil
}

// Ask has the service asked for at once.
func (s *Service) Ask() {
	select {
	case s.now <- struct{}{}:
	default:
	}
}

// Run implements discover.Source.
func (s *Service) Run(ctx context.Context, report func([]config.Backend, error)) {
	faults := 0
	for {
		asked := time.Now()
		list, ttl, err := s.lookUp(ctx)
		if ctx.Err() != nil {
			return
		}
		report(list, err)
		wait := min(max(ttl, s.min), s.max)
		switch {
		case err != nil:
			wait = min(s.min<<min(faults, 16), s.max)
			wait += rand.N(wait/5 + 1)
			faults++
		case len(list) == 0:
			wait = min(wait, max(s.min, discover.EmptyAfter/2))
			faults = 0
		default:
			faults = 0
		}
		if !s.pause(ctx, asked, wait) {
			return
		}
	}
}

// pause waits, or until Ask is called, and returns false when ctx is done.
func (s *Service) pause(ctx context.Context, asked time.Time, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	for now := s.now; ; now = nil {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case <-now:
			t.Reset(min(wait, max(time.Until(asked.Add(s.min)), 0)))
		}
	}
}

// lookUp asks once.
func (s *Service) lookUp(ctx context.Context) (list []config.Backend, ttl time.Duration, err error) {
	conf := s.c.confOf(s.pool.Resolver)
	err = discover.ErrNoName
	for _, name := range conf.names(s.name) {
		rep, e := s.c.ask(ctx, conf, name, dns.TypeSRV)
		if e == nil && rep.partial {
			e = errors.New("the answer is longer than a datagram, and the name server does not answer by TCP")
		}
		if e == nil {
			return servers(rep.srv), rep.ttl, nil
		}
		if err = e; !errors.Is(e, discover.ErrNoName) {
			break
		}
	}
	return nil, 0, err
}

// servers returns records as backends: those of the least priority, and those of others as
// backups. A weight of 0 is the least.
func servers(records []*dns.SRV) (list []config.Backend) {
	least := ^uint16(0)
	for _, r := range records {
		least = min(least, r.Priority)
	}
	for _, r := range records {
		if r.Target == "." || r.Port == 0 {
			continue // "the service is decidedly not available"
		}
		list = append(list, config.Backend{
			Host: strings.ToLower(r.Target), Port: int(r.Port), Weight: max(int(r.Weight), 1),
			Backup: r.Priority > least, TLS: r.Port == 443,
		})
	}
	return list
}
