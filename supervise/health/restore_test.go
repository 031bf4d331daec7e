package health

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
)

// eject ejects a backend at the present time of the board's clock, as a loop does.
func (r *rig) eject(id, number int, d time.Duration) {
	s, now := r.board.State(id), r.o.Now()
	s.EjectedSince.Store(uint64(now))
	s.Ejections.Store(uint64(number))
	s.EjectedUntil.Store(uint64(now.Add(d)))
	r.board.Changed()
}

// TestPassingCheckRestores: a check that passes ends an ejection, although the next one of a
// backend that is up would be far away.
func TestPassingCheckRestores(t *testing.T) {
	_, probes, addrs := turning(t)
	r := start(t, func(h *config.Health) { h.Interval = time.Hour }, addrs)
	r.o.Config.Pools[1].Eject.Time = time.Hour
	r.Update(r.o)
	testkit.Until(t, "up", func() bool { return r.health(1) == board.Up })
	before := probes.Load()
	r.eject(1, 1, time.Hour)
	testkit.Until(t, "the end of the ejection", func() bool { return r.board.State(1).EjectedUntil.Load() == 0 })
	if probes.Load() == before {
		t.Error("no check was made")
	}
	r.Close()
	if !strings.Contains(r.log.String(), `msg="backend restored" pool=api backend=`+addrs.address+` cause="a check passes" ejected_for=`) {
		t.Errorf("log:\n%s", r.log.String())
	}
}

// TestFailingCheckRestoresNot: nor does a check that passes end a later ejection at once.
func TestFailingCheckRestoresNot(t *testing.T) {
	status, probes, addrs := turning(t)
	r := start(t, func(h *config.Health) { h.Fall = 1000 }, addrs)
	r.o.Config.Pools[1].Eject.Time = time.Hour
	r.Update(r.o)
	testkit.Until(t, "up", func() bool { return r.health(1) == board.Up })
	stays := func(why string) {
		t.Helper()
		before := probes.Load()
		testkit.Until(t, "more checks", func() bool { return probes.Load() > before+5 })
		if r.board.State(1).EjectedUntil.Load() == 0 {
			t.Errorf("restored, though %s", why)
		}
	}
	status.Store(500)
	before := probes.Load()
	testkit.Until(t, "a check that fails", func() bool { return probes.Load() > before+2 })
	r.eject(1, 1, time.Hour)
	stays("the checks fail")
	r.eject(1, 2, 2*time.Hour)
	status.Store(200)
	stays("it is the second time")
}

// TestProbeOfFullQueue: a unix socket whose accept queue is full is waited for, as TCP would.
func TestProbeOfFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := net.Dial("unix", path); err == nil {
		second.Close()
		t.Skip("this system has room for more")
	}
	h := config.NewHealth()
	h.Type, h.Timeout = config.CheckTCP, 50*time.Millisecond
	addrs := location{"unix", path}
	if r := probe(t.Context(), &h, "x", "", addrs, nil); r.good || r.why != board.ReasonTimeout {
		t.Errorf("%+v, want a timeout", r)
	}
	h.Timeout = testkit.Patience
	got := make(chan result)
	go func() { got <- probe(t.Context(), &h, "x", "", addrs, nil) }()
	conn, _, err := syscall.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(conn)
	if r := <-got; !r.good {
		t.Errorf("%+v, once there is room", r)
	}
}
