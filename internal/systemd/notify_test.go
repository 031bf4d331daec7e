package systemd

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
	"lb/loop"
)

// fakeSystemd receives what systemd would receive.
type fakeSystemd struct{ conn *net.UnixConn }

// listenAsSystemd has this process think that it is a service.
func listenAsSystemd(t *testing.T, path string) *fakeSystemd {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv(notifyEnv, path)
	return &fakeSystemd{conn}
}

// next returns the lines of the next message.
func (s *fakeSystemd) next(t *testing.T) []string {
	t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(testkit.Patience))
	b := make([]byte, 4096)
	n, err := s.conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b[:n]), "\n")
}

func TestNotifier(t *testing.T) {
	for _, path := range []string{
		filepath.Join(t.TempDir(), "notify"),
		fmt.Sprintf("@lb-test-%d", os.Getpid()), // an abstract socket, as containers have it
	} {
		s := listenAsSystemd(t, path)
		n := NewNotifier(slog.New(slog.DiscardHandler))
		for _, tc := range []struct {
			tell func()
			want []string
		}{
			{func() { n.Ready("serving") }, []string{"READY=1", "STATUS=serving"}},
			{n.Alive, []string{"WATCHDOG=1"}},
			{n.IsMain, []string{fmt.Sprintf("MAINPID=%d", os.Getpid())}},
			{n.Stopping, []string{"STOPPING=1", "STATUS=draining"}},
			{func() { n.HandOver(7) }, []string{"MAINPID=7"}},
		} {
			tc.tell()
			if got := s.next(t); strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("%q, want %q", got, tc.want)
			}
		}
		n.Stopping() // another process is the service now
		NewNotifier(n.log).Alive()
		if got := s.next(t); got[0] != "WATCHDOG=1" {
			t.Errorf("%q after the service was handed over, want nothing of it", got)
		}
	}
}

// The time of a reload is that of CLOCK_MONOTONIC, in microseconds, and comes before the
// reload's end: by it systemd knows which READY is meant.
func TestNotifyReloading(t *testing.T) {
	s := listenAsSystemd(t, filepath.Join(t.TempDir(), "notify"))
	before := int64(loop.Monotonic()) / 1000
	NewNotifier(slog.New(slog.DiscardHandler)).Reloading(time.Duration(loop.Monotonic()))
	after := int64(loop.Monotonic()) / 1000
	got := s.next(t)
	if len(got) != 2 || got[0] != "RELOADING=1" {
		t.Fatalf("%q, want RELOADING and the time", got)
	}
	text, ok := strings.CutPrefix(got[1], "MONOTONIC_USEC=")
	if at, err := strconv.ParseInt(text, 10, 64); !ok || err != nil || at < before || at > after {
		t.Errorf("%q, want a time from %d to %d", got[1], before, after)
	}
}

// lb goes on whatever is wrong with systemd.
func TestNotifyNobody(t *testing.T) {
	testkit.Long(t)
	t.Setenv(notifyEnv, "")
	NewNotifier(nil).Ready("") // nobody wants to know

	var log strings.Builder
	t.Setenv(notifyEnv, filepath.Join(t.TempDir(), "nobody"))
	NewNotifier(slog.New(slog.NewTextHandler(&log, nil))).Ready("")
	if !strings.Contains(log.String(), "READY=1") {
		t.Errorf("nobody listens: the log has %q, want what was not heard", log.String())
	}

	log.Reset()
	s := listenAsSystemd(t, filepath.Join(t.TempDir(), "hung"))
	s.conn.SetReadBuffer(1)
	n := NewNotifier(slog.New(slog.NewTextHandler(&log, nil)))
	begun := time.Now()
	for range 1000 { // until the queue is full
		if n.Alive(); log.Len() > 0 {
			break
		}
	}
	if took := time.Since(begun); log.Len() == 0 || took > notifyTimeout+testkit.Patience/2 {
		t.Errorf("nobody reads: %v and the log has %q, want to give up after %v", took, log.String(), notifyTimeout)
	}
}

func TestWatchdogEvery(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, tc := range []struct {
		micros, pid string
		want        time.Duration
	}{
		{"", "", 0},
		{"30000000", "", 15 * time.Second}, // of a process before this one, which has left its number out
		{"30000000", own, 15 * time.Second},
		{"30000000", "1", 0}, // not meant for this process
		{"soon", own, 0},
	} {
		t.Setenv("WATCHDOG_USEC", tc.micros)
		t.Setenv("WATCHDOG_PID", tc.pid)
		if got := WatchdogEvery(slog.New(slog.DiscardHandler)); got != tc.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: every %v, want %v", tc.micros, tc.pid, got, tc.want)
		}
	}
}
