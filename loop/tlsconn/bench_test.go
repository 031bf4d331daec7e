package tlsconn

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/arena"
	"lb/loop"
)

// duo is two conns of one loop that speak to each other. The test turns the loop.
type duo struct {
	l    *loop.Loop
	s    *Shaker
	ends [2]*part
}

// part is one end of a duo.
type part struct {
	loop.Conn
	tls   *Conn
	err   error
	over  bool
	ready func(*part)
}

func (p *part) Ready() {
	if p.tls != nil && p.tls.hand != nil {
		p.tls.Advance()
	} else if p.ready != nil {
		p.ready(p)
	}
}
func (p *part) Shaken(err error)         { p.over, p.err = true, err }
func (p *part) Panicked(v any, _ []byte) { panic(v) }

// newDuo returns the two ends after their handshake, or without TLS.
func newDuo(t testing.TB, secure bool) *duo {
	k, err := loop.NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	d := &duo{l: loop.New(k, loop.Options{})}
	a := arena.New(20<<10, 81<<10)
	d.s = NewShaker(d.l, a)
	t.Cleanup(func() {
		d.s.Close()
		d.l.Close()
		if a.Out() != 0 {
			t.Errorf("%d slabs are not put back", a.Out())
		}
	})
	fd, client := pair(t)
	other := dup(t, client)
	client.Close()
	for i, fd := range []int{fd, other} {
		d.ends[i] = &part{}
		if err := d.l.Adopt(&d.ends[i].Conn, d.ends[i], fd); err != nil {
			t.Fatal(err)
		}
	}
	d.l.Turn(false)
	if secure {
		d.shake(t, serverConfig(), clientConfig())
	}
	return d
}

// shake makes the handshake.
func (d *duo) shake(t testing.TB, server, client *tls.Config) {
	var err error
	s, c := d.ends[0], d.ends[1]
	if s.tls, err = d.s.Server(&s.Conn, s, server, nil); err != nil {
		t.Fatal(err)
	}
	if c.tls, err = d.s.Client(&c.Conn, c, client); err != nil {
		t.Fatal(err)
	}
	d.until(t, func() bool { return s.over && c.over })
	if s.err != nil || c.err != nil {
		t.Fatal(s.err, c.err)
	}
}

// until turns the loop until ok holds.
func (d *duo) until(t testing.TB, ok func() bool) {
	late := false
	alarm := time.AfterFunc(patience, func() { d.l.Post(func() { late = true }) })
	defer alarm.Stop()
	for !ok() {
		if d.l.Turn(true); late {
			t.Fatal("it does not come")
		}
	}
}

// exchange sends a request and answers it with a head and a body.
func (d *duo) exchange(t testing.TB, buf, request, head, body []byte) {
	s, c := d.ends[0], d.ends[1]
	if n, err := c.Write(request); n != len(request) || err != nil {
		t.Fatal(n, err)
	}
	for got := 0; got < len(request); {
		n, err := s.Read(buf)
		if got += n; err != nil {
			t.Fatal(err)
		}
	}
	for sent, got := 0, 0; got < len(head)+len(body); {
		if h := max(len(head)-sent, 0); sent < len(head)+len(body) && s.Writable() {
			n, err := s.Writev(head[len(head)-h:], body[max(sent-len(head), 0):], nil)
			if sent += n; err != nil {
				t.Fatal(err)
			}
		}
		n, err := c.Read(buf)
		if got += n; err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			d.l.Turn(false)
		}
	}
}

// BenchmarkExchange is a request and its answer, with both ends on one thread.
func BenchmarkExchange(b *testing.B) {
	request, head := make([]byte, 120), make([]byte, 250)
	for _, size := range []int{100, 4 << 10, 64 << 10, 1 << 20} {
		for _, secure := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/tls=%t", size, secure), func(b *testing.B) {
				d := newDuo(b, secure)
				body, buf := make([]byte, size), make([]byte, 80<<10)
				b.ReportAllocs()
				b.SetBytes(int64(size))
				before := cpu()
				defer func() { b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op") }()
				for b.Loop() {
					d.exchange(b, buf, request, head, body)
				}
			})
		}
	}
}

// BenchmarkHandshake is both sides of a handshake, on one thread.
func BenchmarkHandshake(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		b.Run(fmt.Sprintf("resumed=%t", resumed), func(b *testing.B) {
			server, client := serverConfig(), clientConfig()
			if resumed {
				client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			again := false
			b.ReportAllocs()
			before := cpu()
			defer func() { b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op") }()
			for b.Loop() {
				d := newDuo(b, false)
				d.shake(b, server, client)
				if resumed {
					s, c := d.ends[0], d.ends[1]
					s.Write([]byte("x"))
					var buf [10]byte
					d.until(b, func() bool { n, _ := c.Read(buf[:]); return n == 1 })
					if c.tls.State().DidResume != again {
						b.Fatal("resumed is not", again)
					}
					again = true
				}
				for _, p := range d.ends {
					p.Close(false)
				}
				d.s.Close()
				d.l.Close()
			}
		})
	}
}

// cpu returns the time that the process has used.
func cpu() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
