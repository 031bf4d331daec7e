package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// procStat returns the fields of /proc/PID/stat after the name; the first is the
// state.
func procStat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// clientPorts returns the ports of the clients whose conns to addr a process has.
func clientPorts(t *testing.T, pid int, addr string) (ports []int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sockets := map[string]bool{}
	for _, e := range entries {
		if name, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			sockets[name] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	ours := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], ours) && sockets["socket:["+f[9]+"]"] {
			_, hex, _ := strings.Cut(f[2], ":")
			n, _ := strconv.ParseInt(hex, 16, 32)
			ports = append(ports, int(n))
		}
	}
	return ports
}

// stopped reports whether every thread of a process is stopped. A running one may accept.
func stopped(pid int) bool {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && !slices.ContainsFunc(threads, func(e os.DirEntry) bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, e.Name()))
		return err == nil && !bytes.HasPrefix(text[bytes.LastIndexByte(text, ')')+1:], []byte(" T"))
	})
}

// killWorker kills a worker and returns the ports of its clients, or none if it has left
// by itself. It stops the worker first, so that the clients are those it dies with.
func (s *service) killWorker(pid int) (ports []int, killed bool) {
	s.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err == syscall.ESRCH {
		return nil, false
	} else if err != nil {
		s.t.Fatal(err)
	}
	state := ""
	testkit.Until(s.t, "it to stop", func() bool {
		f := procStat(pid)
		if len(f) == 0 {
			return true
		}
		state = f[0]
		return state == "Z" || state == "T" && stopped(pid)
	})
	if state != "T" {
		return nil, false
	}
	for range 3 { // the kernel's table may lack some while it changes
		ports = append(ports, clientPorts(s.t, pid, s.addr)...)
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	return ports, true
}

// successor waits for a process other than pid to serve at the slot, and returns how
// long that took.
func (s *service) successor(slot, pid int) time.Duration {
	s.t.Helper()
	begun := time.Now()
	s.until("another worker", func(st status) bool {
		return slices.ContainsFunc(st.serving(), func(l loopStatus) bool { return l.Slot == slot && l.PID != pid })
	})
	return time.Since(begun)
}

// Workers are killed one after the other. No conn is refused, only the conns of killed
// workers break, and every request is counted. LB_LONG=1 kills one every 500 ms for 20 s.
func TestWorkersKilledUnderLoad(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	const workers, kept, fresh = 4, 12, 6
	s := begin(t, "mp", setup{workers: workers, admin: true, backends: to(checkedMany(t, 3)...)})
	w := s.send(kept, fresh)
	w.more(t, 100)
	kills, killed := 6, map[int]int{}
	if long() {
		kills = 40
	}
	next, seat := time.NewTicker(500*time.Millisecond), 0
	defer next.Stop()
	var first []time.Duration
	start := time.Hour // how long another process takes to begin, which on a busy machine is long
	for n := 0; n < kills; {
		st := s.until("a worker", func(st status) bool { return len(st.serving()) > 0 })
		list := st.serving()
		victim := list[0]
		if i := slices.IndexFunc(list, func(l loopStatus) bool { return l.Slot >= seat }); i >= 0 {
			victim = list[i]
		}
		seat = (victim.Slot + 1) % workers
		ports, dead := s.killWorker(victim.PID)
		if !dead {
			continue // it was dead already, and that was not noticed yet
		}
		for _, port := range ports {
			killed[port]++
		}
		if n++; n <= workers {
			first = append(first, s.successor(victim.Slot, victim.PID))
			start = min(start, s.lb("version").took)
		}
		if long() {
			testkit.Wait(t, next.C, "the next kill")
		} else {
			w.more(t, 100)
		}
	}
	s.until("all workers to be back", func(st status) bool { return len(st.serving()) == workers })
	w.more(t, 200)
	w.end()
	slices.Sort(first)
	lost := w.lost()
	t.Logf("%d right answers, %d lost on %d conns that were killed; successors served after %v", w.whole.Load(), len(lost), len(killed), first)
	for _, l := range lost {
		if killed[l.port] == 0 || l.how == refusedConn {
			t.Errorf("a request went missing that was not on a killed worker's conn: %v", l)
		}
		killed[l.port]--
	}
	if most := time.Second + 4*start; first[0] > most && !raceOn { // 200 ms on a machine with nothing else to do
		t.Errorf("successors served after %v, want %v at most", first, most)
	}
	s.wantCounted(w, len(lost))
	s.untilTold(kills, "worker died", "killed")
	if got := s.metrics(t)["lb_worker_restarts_total"]; got != float64(kills) {
		t.Errorf("%v restarts are counted, want %d", got, kills)
	}
}

// wantCounted compares lb's counters with those of the clients. Lost requests may be
// counted or not.
func (s *service) wantCounted(w *traffic, lost int) {
	s.t.Helper()
	testkit.Until(s.t, "all exchanges to end", func() bool { return s.metrics(s.t)["lb_exchanges"] == 0 })
	m, whole := s.metrics(s.t), float64(w.whole.Load())
	replies, answered, timed := 0.0, 0.0, 0.0
	for name, v := range m {
		switch {
		case strings.HasPrefix(name, "lb_replies_total{"):
			replies += v
		case strings.HasPrefix(name, "lb_requests_total{"):
			answered += v
		case strings.HasPrefix(name, "lb_request_seconds_count{"):
			timed += v
		}
	}
	for name, got := range map[string]float64{
		"lb_client_requests_total": m["lb_client_requests_total"], "lb_replies_total": replies, "lb_requests_total": answered,
		"lb_request_seconds_count": timed,
	} {
		if got < whole-float64(lost) || got > whole+float64(lost) {
			s.t.Errorf("%s is %v, want %v, give or take %d that were cut off", name, got, whole, lost)
		}
	}
}

// A worker that dies again and again before it has served a request is replaced at once,
// then after 100 ms, then after twice as long each time. The log says why it died and when
// the next one starts. The other worker serves its socket meanwhile.
func TestWorkerBackOff(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	s := begin(t, "mp", setup{workers: 2, backends: to(checked(t))})
	for n := range 5 {
		l, begun := s.status().serving()[0], time.Now()
		if err := syscall.Kill(l.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.successor(l.Slot, l.PID)
		took := time.Since(begun)
		least := time.Duration(0)
		if n > 0 {
			least = 100 * time.Millisecond << (n - 1)
		}
		t.Logf("death %d: %v", n+1, took)
		if took < least {
			t.Errorf("after death %d within 10s another serves after %v, want %v at least", n+1, took, least)
		}
		s.untilTold(1, "worker died", fmt.Sprintf("pid=%d ", l.PID), "killed", fmt.Sprintf("restart_in=%v", least))
	}
	l := s.status().serving()[0]
	if err := syscall.Kill(l.PID, syscall.SIGKILL); err != nil { // the next one starts after 1.6 s
		t.Fatal(err)
	}
	s.until("the death", func(st status) bool { return len(st.serving()) == 1 })
	begun, longest := time.Now(), time.Duration(0)
	for range 40 { // some conns are for the socket of the worker that is down
		asked := time.Now()
		resp, _, err := tryGet(newClient(t), s.url("/1/100/length"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("while a worker is down: %v, %v", resp, err)
		}
		longest = max(longest, time.Since(asked))
	}
	// On a slow machine all of them together may outlast the pause, but one that waits for
	// the next worker has most of the time for itself.
	if took := time.Since(begun); len(s.status().serving()) != 1 && longest > took/2 {
		t.Errorf("a request has waited for the next worker: %v of %v", longest, took)
	}
}

// A lone worker that dies is replaced at once, each time.
func TestLoneWorkerKilled(t *testing.T) {
	t.Parallel()
	s := begin(t, "mp", setup{workers: 1, backends: to(checked(t))})
	for range 4 {
		l := s.status().serving()[0]
		if err := syscall.Kill(l.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.successor(l.Slot, l.PID)
	}
	s.untilTold(4, "worker died", "killed", "restart_in=0s")
}

// What lb knows of backends stays when a worker is killed.
func TestKilledWorkerKeepsKnowledge(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	s, sick, well := ejected(t, "mp")
	before := s.metrics(t)
	for _, l := range s.status().serving() {
		s.killWorker(l.PID)
		s.successor(l.Slot, l.PID)
	}
	s.wantStillEjected(sick, well, before)
}

// ejected returns a service with two backends, one of which is ejected for an hour.
func ejected(t *testing.T, mode string) (s *service, sick, well string) {
	t.Helper()
	sick = script(t, func(net.Conn) {})
	well = demo(t, "127.0.0.1:0", "well").Addr()
	s = begin(t, mode, setup{backends: to(sick, well), admin: true, tables: "[eject]\nfaults = 1\ntime = \"1h\"\ntime_max = \"1h\"\n"})
	client := newClient(t)
	testkit.Until(t, "the ejection", func() bool {
		tryGet(client, s.url("/"))
		return s.status().backend(t, "default", sick).Ejected
	})
	testkit.Until(t, "all exchanges to end", func() bool { return s.metrics(t)["lb_exchanges"] == 0 })
	client.CloseIdleConnections()
	return s, sick, well
}

// wantStillEjected checks that lb still knows what it knew before.
func (s *service) wantStillEjected(sick, well string, before map[string]float64) {
	s.t.Helper()
	if b := s.status().backend(s.t, "default", sick); !b.Ejected {
		s.t.Errorf("the ejected backend is back: %+v", b)
	}
	client := dial(s.t, s.addr)
	if got := client.answeredBy(s.t, 20); got["well"] != 20 {
		s.t.Errorf("answered by %v, want all by the one that is well", got)
	}
	client.Close()
	now := s.metrics(s.t)
	for name, more := range map[string]float64{
		ofBackend("attempts_total", sick): 0, ofBackend("attempts_total", well): 20, "lb_client_requests_total": 20, "lb_retries_total": 0,
	} {
		if now[name] != before[name]+more {
			s.t.Errorf("%s went from %v to %v, want %v more", name, before[name], now[name], more)
		}
	}
	s.untilTold(1, "backend ejected")
}

// The supervisor is killed. Its workers answer what runs and end within the drain
// timeout, after which no process holds the port. A new lb may bind it before that.
func TestSupervisorKilled(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		g := newGate(t, 1000)
		s := newService(t, mode, setup{backends: to(g.addr), tables: "[timeouts]\ndrain = \"5s\"\n"}) // longer than the next start takes
		_, s.port, _ = net.SplitHostPort(testkit.FreePort(t))
		s.start()
		slow := later(newClient(t), s.url("/slow"))
		testkit.Wait(t, g.began, "the request to arrive")
		stuck := later(newClient(t), s.url("/slow")) // longer than the drain timeout: the gate opens for one
		testkit.Wait(t, g.began, "the request to arrive")
		s.kill(syscall.SIGKILL)
		s.over = true
		killed, first := time.Now(), s.process
		testkit.Wait(t, s.Exited, "it to be gone")
		if mode == "mp" { // before another lb begins, which may take longer than the drain
			select {
			case g.release <- struct{}{}:
			case <-time.After(testkit.Patience):
				t.Fatal("both requests are cut off")
			}
			if a := testkit.Wait(t, anyOf(slow, stuck), "an answer"); a.status != 200 || len(a.body) != 1000 {
				t.Errorf("what ran when the supervisor was killed: %d with %d bytes, %v; want 200 with 1000", a.status, len(a.body), a.err)
			}
		}
		s.start() // at once, at the same port
		t.Logf("another serves after %v", time.Since(killed))
		testkit.Until(t, "the workers to leave", func() bool { s.reap(first); return first.GroupGone() })
		if took := time.Since(killed); took > promptly && !raceOn {
			t.Errorf("the workers were gone after %v, want 5s at most", took)
		}
		for range 50 {
			fresh := dial(t, s.addr)
			if err := fresh.want200(lines("GET / HTTP/1.1", "Host: x")); err != nil {
				t.Fatalf("the new lb: %v", err)
			}
			fresh.Close()
		}
		s.kill(syscall.SIGKILL)
		s.over = true
		s.wantGone()
		ln, err := net.Listen("tcp", s.addr) // without SO_REUSEPORT: nobody else may listen
		if err != nil {
			t.Fatalf("something holds the port: %v", err)
		}
		ln.Close()
	})
}

// anyOf returns the first value of several.
func anyOf[T any](list ...<-chan T) <-chan T {
	first := make(chan T, len(list))
	var taken atomic.Bool
	for _, c := range list {
		go func() {
			if v := <-c; taken.CompareAndSwap(false, true) {
				first <- v
			}
		}()
	}
	return first
}
