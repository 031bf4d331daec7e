package e2e

import (
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// Standard error is a full pipe that is no longer read: requests, reloads, commands, health and
// the end go on.
func TestLogIsNotRead(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, backends: to(checked(t), testkit.RefusingAddr(t))})
		readOn := s.fillStream()
		for range 30 { // some find the backend that refuses, and its ejection is logged by the loop
			resp, _ := get(t, newClient(t), s.url("/1/100/length"))
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Fatalf("status %d", resp.StatusCode)
			}
		}
		for range 3 {
			s.reload()
		}
		if code := s.health(t); code != 200 {
			t.Errorf("health is %d", code)
		}
		s.kill(syscall.SIGTERM)
		testkit.Wait(t, s.Exited, "the end of lb")
		readOn()
		s.wantExit(0)
	})
}

// fillStream stops reading what lb writes, and fills the pipe.
func (s *service) fillStream() (readOn func()) {
	s.t.Helper()
	s.unread.Lock()
	readOn = sync.OnceFunc(s.unread.Unlock)
	s.t.Cleanup(readOn)
	unix.Write(s.stream, []byte("the last that is read\n")) // ends a read that waits
	s.untilTold(1, "the last that is read")
	for _, size := range []int{4096, 1} {
		for {
			if _, err := unix.Write(s.stream, []byte(strings.Repeat("x", size))); err != nil {
				break
			}
		}
	}
	return readOn
}
