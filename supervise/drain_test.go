package supervise

import (
	"bytes"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// Running requests are answered, new clients are refused, and health turns red first.
func TestDrain(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
				slow := supervisetest.AddSlowBackend(t, cfg)
				in := serve(t, cfg, Options{})
				answers := []<-chan supervisetest.Answer{supervisetest.GetLater(in.addr), supervisetest.GetLater(in.addr), supervisetest.GetLater(in.addr)}
				for range answers {
					testkit.Wait(t, slow.Began, "the request to arrive")
				}
				in.signals <- sig
				testkit.Wait(t, in.admin.red, "health to turn red")
				testkit.Until(t, "connections to be refused", func() bool { return supervisetest.Refused(in.addr) })
				close(slow.Release)
				for _, a := range answers {
					(<-a).Want(t, "late")
				}
				in.wantExit(t, 0)
			})
		})
	}
}

// A drain closes conns without a request and does not wait for them.
func TestDrainClosesIdle(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		in := serve(t, cfg, Options{})
		c, err := net.Dial("tcp", in.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		testkit.Until(t, "the conn to be accepted", func() bool { return in.running.Board.Totals().ClientConns == 1 })
		in.signals <- syscall.SIGTERM
		c.SetReadDeadline(time.Now().Add(testkit.Patience))
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read from the idle conn: %v, want its end", err)
		}
		in.wantExit(t, 0)
	})
}

func TestDrainTimeout(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		cfg.Timeouts.Drain = 50 * time.Millisecond
		var log bytes.Buffer
		in := serve(t, cfg, Options{Log: NewLog(&log, "info")})
		a := slow.GetLater(t, in.addr)
		in.signals <- syscall.SIGTERM
		in.wantExit(t, 3)
		supervisetest.WantCut(t, a)
		if !strings.Contains(log.String(), "cut=1") {
			t.Errorf("want cut=1 in the log:\n%s", log.String())
		}
	})
}

func TestSecondSignal(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		in := serve(t, cfg, Options{})
		a := slow.GetLater(t, in.addr)
		in.signals <- syscall.SIGTERM
		testkit.Wait(t, in.admin.red, "health to turn red")
		in.signals <- syscall.SIGHUP // changes nothing about the end
		in.signals <- syscall.SIGINT
		in.wantExit(t, 3)
		supervisetest.WantCut(t, a)
	})
}

func TestQuit(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		in := serve(t, cfg, Options{})
		a := slow.GetLater(t, in.addr)
		in.signals <- syscall.SIGQUIT
		in.wantExit(t, 3)
		supervisetest.WantCut(t, a)
	})
}

// The same with real signals: SIGHUP is survived, and SIGTERM to the process
// alone, or SIGINT to its whole group as a terminal sends it, is a drain.
func TestRealSignals(t *testing.T) {
	for name, target := range map[string]int{"process": 1, "group": -1} {
		t.Run(name, func(t *testing.T) {
			supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
				slow := supervisetest.AddSlowBackend(t, cfg)
				lb := startLB(t, cfg)
				a := slow.GetLater(t, lb.addr)
				for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGINT} {
					if err := syscall.Kill(target*lb.pid(), sig); err != nil {
						t.Fatal(err)
					}
				}
				testkit.Until(t, "connections to be refused", func() bool { return supervisetest.Refused(lb.addr) })
				close(slow.Release)
				(<-a).Want(t, "late")
				lb.wantExit(t, 0)
			})
		})
	}
}

func TestRealSecondSignal(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		lb := startLB(t, cfg)
		a := slow.GetLater(t, lb.addr)
		lb.process.Signal(t, syscall.SIGTERM)
		testkit.Until(t, "connections to be refused", func() bool { return supervisetest.Refused(lb.addr) })
		lb.process.Signal(t, syscall.SIGTERM)
		lb.wantExit(t, 3)
		supervisetest.WantCut(t, a)
	})
}

// While connections come as fast as they can, a drain answers a request whole
// or not at all.
func TestDrainUnderLoad(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		body := strings.Repeat("well", 64<<10)
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, body).URL)
		in := serve(t, cfg, Options{})
		const clients = 8
		answered := make(chan struct{}, clients)
		last := make(chan supervisetest.Answer, clients)
		for range clients {
			go func() {
				for {
					a := supervisetest.Get(in.addr)
					if a.Err != nil || a.Body != body {
						last <- a
						return
					}
					select {
					case answered <- struct{}{}:
					default:
					}
				}
			}()
		}
		for range 2 * clients {
			<-answered
		}
		in.signals <- syscall.SIGTERM
		for range clients {
			if a := <-last; a.Status != 0 {
				t.Errorf("at the drain: %d with %d bytes, %v", a.Status, len(a.Body), a.Err)
			}
		}
		in.wantExit(t, 0)
	})
}
