package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
)

// fake is an lb as a test wants it.
type fake struct {
	mu      sync.Mutex
	status  api.Status
	history api.History
	faults  []json.RawMessage
	follow  map[int]func(json.RawMessage)
	looks   int // calls of Status

	perSecond, badPerSecond float64 // requests, and answers of 5xx
}

func (f *fake) Status() api.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	st := f.status
	st.Pools, st.Loops = nil, append([]api.Loop{}, f.status.Loops...)
	if f.perSecond > 0 {
		st.Totals.Requests += uint64(f.perSecond * time.Since(started).Seconds())
		st.Totals.Replies[5] += uint64(f.badPerSecond * time.Since(started).Seconds())
	}
	for _, p := range f.status.Pools {
		p.Backends = append([]api.Backend{}, p.Backends...)
		st.Pools = append(st.Pools, p)
	}
	return st
}

func (f *fake) History() api.History {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.history
}

func (f *fake) Faults(max int) []json.RawMessage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults[len(f.faults)-min(max, len(f.faults)):]
}

func (f *fake) FollowFaults(ctx context.Context, _ int, each func(json.RawMessage)) error {
	f.mu.Lock()
	if f.follow == nil {
		f.follow = map[int]func(json.RawMessage){}
	}
	n := len(f.follow)
	f.follow[n] = each
	f.mu.Unlock()
	each(nil)
	<-ctx.Done()
	f.mu.Lock()
	delete(f.follow, n)
	f.mu.Unlock()
	return ctx.Err()
}

// change changes what f is.
func (f *fake) change(how func(*api.Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how(&f.status)
}

// followed waits until something follows the faults.
func (f *fake) followed(t testing.TB) {
	t.Helper()
	testkit.Until(t, "something to follow the faults", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.follow) > 0
	})
}

// fail adds a fault.
func (f *fake) fail(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, json.RawMessage(fault))
	for _, each := range f.follow {
		each(json.RawMessage(fault))
	}
}

// started is when fakes began to serve.
var started = time.Now().Add(-76*time.Hour - 12*time.Minute)

// poolOf has n backends, of which all are up.
func poolOf(name, strategy string, net, n int) api.Pool {
	p := api.Pool{Name: name, Strategy: strategy, Backends: []api.Backend{}}
	for i := range n {
		p.Backends = append(p.Backends, api.Backend{Pool: name, Address: fmt.Sprintf("10.0.%d.%d:8080", net, 11+i), Weight: 1, ConfiguredWeight: 1,
			Admin: api.Enabled, Health: "up", Since: started.Add(time.Duration(i) * time.Minute), InFlight: uint64(3 + i%4)})
	}
	return p
}

// newFake returns an lb with these pools that has served for a while.
func newFake(pools ...api.Pool) *fake {
	now := time.Now()
	f := &fake{status: api.Status{
		Version: "1.4.0", PID: 4711, State: api.Serving, Mode: "mp", Address: "0.0.0.0:443",
		Listeners:    api.Listeners{{Address: "0.0.0.0:80", Role: api.RoleRedirect}, {Address: "0.0.0.0:443", Role: api.RoleHTTPS}},
		AdminAddress: "127.0.0.1:9090", Started: started,
		Config: api.ConfigStatus{File: "/etc/lb/lb.toml", Number: 7, Loaded: now.Add(-26 * time.Minute), Watching: true},
		Totals: api.Totals{ClientConns: 1284, BackendConns: 96, Requests: 1e6, Retries: 112},
		Pools:  pools,
		Certificates: []api.Certificate{
			{Name: "example.com", Source: "acme", Expires: now.Add(61 * 24 * time.Hour)},
			{Name: "api.example.com", Source: "file", Expires: now.Add(24 * 24 * time.Hour)},
		},
	}}
	for i := range 4 {
		f.status.Loops = append(f.status.Loops, api.Loop{Slot: i, PID: 4712 + i, State: api.LoopServing, Since: started, Conns: uint64(318 + 3*i), Exchanges: uint64(6 + i)})
		f.status.Totals.Exchanges += uint64(6 + i)
	}
	f.fill(120)
	return f
}

// fill makes a history of n points, which is the same each time.
func (f *fake) fill(n int) {
	r := rand.New(rand.NewPCG(1, 2))
	h := api.History{At: time.Now(), Seconds: 5}
	sum := make([]float64, n)
	for pi, p := range f.status.Pools {
		ph := api.PoolHistory{Name: p.Name, Backends: []api.BackendHistory{}}
		total := make([]float64, n)
		for bi, b := range p.Backends {
			base := 30 + 90/float64(pi+1) + 5*float64(bi%3)
			if b.Health == "down" {
				base = 0
			}
			rate := wave(r, n, base, 0.16)
			for i := range rate {
				total[i] += float64(rate[i])
			}
			ph.Backends = append(ph.Backends, api.BackendHistory{Address: b.Address, Course: api.Course{Rate: rate, Errors: make([]float32, n),
				InFlight: wave(r, n, 4, 0.4), FirstByte: wave(r, n, 1.8+3*float64(pi), 0.2)}})
		}
		for i := range total {
			sum[i] += total[i]
		}
		ph.Course = api.Course{Rate: floats(total), Errors: make([]float32, n), InFlight: wave(r, n, 12, 0.3),
			P50: wave(r, n, 2.1+3*float64(pi), 0.1), P99: wave(r, n, 14+16*float64(pi), 0.35)}
		h.Pools = append(h.Pools, ph)
	}
	h.Total = api.Course{Rate: floats(sum), Errors: make([]float32, n), InFlight: wave(r, n, 30, 0.3), P50: wave(r, n, 3.4, 0.1), P99: wave(r, n, 31, 0.3)}
	f.history = h
}

// wave returns n values about base.
func wave(r *rand.Rand, n int, base, noise float64) []float32 {
	out := make([]float32, n)
	drift := 0.0
	for i := range out {
		drift = 0.8*drift + noise*r.NormFloat64()*0.5
		out[i] = float32(math.Max(0, math.Round(10*base*(1+0.18*math.Sin(float64(i)/17)+drift))/10))
	}
	return out
}

func floats(list []float64) []float32 {
	out := make([]float32, len(list))
	for i, v := range list {
		out[i] = float32(math.Round(v*10) / 10)
	}
	return out
}

// degraded is an lb with most of what can be wrong.
func degraded() *fake {
	now := time.Now()
	web, shop, media := poolOf("web", "least_conn", 1, 4), poolOf("checkout", "p2c", 2, 3), poolOf("media", "round_robin", 3, 2)
	b := &web.Backends[1]
	b.Health, b.HealthReason, b.Since, b.InFlight = "down", "no answer in time", now.Add(-4*time.Minute-12*time.Second), 0
	b = &web.Backends[2]
	b.Ejected, b.EjectedReason, b.EjectedUntil, b.InFlight = true, "status 503", now.Add(24*time.Second), 1
	b = &web.Backends[3]
	b.Admin, b.Runtime, b.InFlight = api.Drained, true, 2
	for i := range shop.Backends {
		b := &shop.Backends[i]
		b.Health, b.HealthReason, b.Since, b.InFlight = "down", "cannot be reached", now.Add(-time.Duration(50+40*i)*time.Second), 0
	}
	media.Backends[0].Weight, media.Backends[0].Runtime = 3, true
	media.Backends[1].LastFault, media.Backends[1].LastFaultAt = "reset while waiting for the answer", now.Add(-3*time.Minute)
	f := newFake(web, shop, media)
	f.status.Config.Fault = "lb.toml:41: pools.web.strategy: \"leastconn\" is not one of round_robin, least_conn, p2c (did you mean \"least_conn\"?)"
	f.status.Config.FaultAt = now.Add(-2 * time.Minute)
	f.status.Certificates[1].Soon, f.status.Certificates[1].Expires = true, now.Add(6*24*time.Hour)
	f.status.Loops[2].State, f.status.Loops[2].Restarts = api.LoopStarting, 1
	f.status.Totals.WorkerRestarts = 1
	rise := func(c *api.Course, to float64) {
		for i := 82; i < 120; i++ {
			c.Errors[i] = float32(math.Round(10*to*(1-math.Exp(-float64(i-80)/9))+float64(i%3)) / 10)
		}
	}
	rise(&f.history.Total, 37)
	rise(&f.history.Pools[1].Course, 33)
	rise(&f.history.Pools[0].Course, 4)
	rise(&f.history.Pools[0].Backends[2].Course, 4)
	for _, text := range faultTexts(now) {
		f.faults = append(f.faults, json.RawMessage(text))
	}
	return f
}

// faultTexts are entries as /v1/faults has them.
func faultTexts(now time.Time) (list []string) {
	at := func(ago time.Duration) string { return now.Add(-ago).UTC().Format(time.RFC3339Nano) }
	for i := range 6 {
		list = append(list, fmt.Sprintf(`{"kind":"fault","time":%q,"request_id":"0192f1c4-7a%02d-7cc1-9d6e-3f6f4a3b1c11","client":"203.0.113.%d","method":"POST","host":"shop.example.com","target":"/cart/%d/pay","protocol":"HTTP/2","status":502,"bytes":98,"bytes_in":412,"route":"checkout","pool":"checkout","backend":"10.0.2.%d:8080","attempts":[{"backend":"10.0.2.12:8080","cause":"no_connect","phase":"dial","detail":"connection refused","us":310},{"backend":"10.0.2.%d:8080","cause":"no_connect","phase":"dial","detail":"connection refused","us":290}],"phases":{"head":12,"queue":0,"connect":600,"tls":0,"send":0,"first_byte":0,"body":0,"client_stall":0},"total_us":1180,"reused":false,"end":"backend","end_phase":"dial","end_why":"no_connect","end_detail":"connection refused","head":"POST /cart/%d/pay HTTP/2\nhost: shop.example.com\nauthorization: ***\ncontent-type: application/json\n","backends":[{"backend":"10.0.2.11:8080","state":"down","in_flight":0},{"backend":"10.0.2.12:8080","state":"down","in_flight":0}]}`,
			at(time.Duration(60-9*i)*time.Second), i, 20+i, 100+i, 11+i%3, 11+i%3, 100+i))
	}
	list = append(list,
		fmt.Sprintf(`{"kind":"slow","time":%q,"client":"198.51.100.7","method":"GET","host":"www.example.com","target":"/reports/2026/quarterly.pdf?download=1","protocol":"HTTP/1.1","status":200,"pool":"media","backend":"10.0.3.12:8080","attempts":[{"backend":"10.0.3.12:8080","status":200,"us":2412000}],"phases":{"first_byte":2310000,"body":102000},"total_us":2412900,"end":"ok"}`, at(8*time.Second)),
		fmt.Sprintf(`{"kind":"fault","time":%q,"client":"198.51.100.23","method":"GET","host":"www.example.com","target":"/feed","protocol":"HTTP/1.1","status":504,"pool":"web","backend":"10.0.1.12:8080","attempts":[{"backend":"10.0.1.12:8080","cause":"slow","phase":"wait","detail":"timeouts.response","us":30000000}],"total_us":30000800,"end":"backend","end_phase":"wait","end_why":"slow","end_detail":"timeouts.response"}`, at(3*time.Second)))
	return list
}

// nothing is an lb that has just begun, without backends.
func nothing() *fake {
	f := &fake{status: newFake().status}
	f.status.Totals, f.status.Certificates = api.Totals{}, nil
	f.status.Config.Number, f.status.Config.Loaded, f.status.Started = 1, time.Now(), time.Now()
	for i := range f.status.Loops {
		f.status.Loops[i].Conns, f.status.Loops[i].Exchanges = 0, 0
	}
	return f
}
