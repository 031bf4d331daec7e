package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// Loads of many clients, and backends that check what arrives.

// requests is a backend that reads a request, body and all, and has f answer it;
// false closes the conn.
func requests(t *testing.T, f func(c net.Conn, r *http.Request, body []byte) (goOn bool)) (addr string) {
	t.Helper()
	return script(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || !f(c, r, body) {
				return
			}
		}
	})
}

// pause waits for d and stands for a slow client or backend; no test uses it to wait for
// something to happen. It returns false if stop is closed before.
func pause(d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}

// crowd is a number of clients that do the same again and again.
type crowd struct {
	done  atomic.Int64 // how often
	stop  chan struct{}
	all   sync.WaitGroup
	leave func()
}

// gather has n clients call f until leave is called, at the latest when the test ends. An
// error fails the test and ends that client.
func gather(t *testing.T, n int, f func(client int, stop <-chan struct{}) error) *crowd {
	t.Helper()
	w := &crowd{stop: make(chan struct{})}
	w.leave = sync.OnceFunc(func() { close(w.stop); w.all.Wait() })
	for i := range n {
		w.all.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
				}
				if err := f(i, w.stop); err != nil {
					t.Error(err)
					return
				}
				w.done.Add(1)
			}
		})
	}
	t.Cleanup(w.leave)
	return w
}

// more waits until n more calls have come to an end.
func (w *crowd) more(t *testing.T, n int64) {
	t.Helper()
	want := w.done.Load() + n
	testkit.Until(t, "the clients to go on", func() bool { return w.done.Load() >= want || t.Failed() })
}

// open returns n conns that end with the test.
func open(t *testing.T, addr string, n int) (conns []*rawConn) {
	t.Helper()
	for range n {
		conns = append(conns, dial(t, addr))
	}
	return conns
}

// ask sends text and returns the answer, for any goroutine.
func (c *rawConn) ask(text string) (resp *http.Response, body string, err error) {
	if _, err := io.WriteString(c, text); err != nil {
		return nil, "", err
	}
	return c.try()
}
