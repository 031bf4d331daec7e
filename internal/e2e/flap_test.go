package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// flapping is a backend that is up for a while, down for a while, and up again at its
// address. It goes down like a killed process: its listener is closed, and all conns
// are reset, or ended, wherever they are.
type flapping struct {
	addr  string
	serve func(c net.Conn)
	ln    net.Listener
	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil while it is down
	all   sync.WaitGroup
}

// up listens at the address, which a client's conn may occupy for a moment.
func (f *flapping) up() {
	var err error
	for f.ln, err = net.Listen("tcp", f.addr); err != nil; f.ln, err = net.Listen("tcp", f.addr) {
		pause(5*time.Millisecond, nil)
	}
	f.addr = f.ln.Addr().String()
	f.conns = map[net.Conn]struct{}{}
	f.all.Go(func() {
		for {
			c, err := f.ln.Accept()
			if err != nil {
				return
			}
			f.all.Go(func() {
				defer c.Close()
				if f.keep(c) {
					f.serve(c)
					f.forget(c)
				}
			})
		}
	})
}

// keep returns false if f is down.
func (f *flapping) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns != nil {
		f.conns[c] = struct{}{}
	}
	return f.conns != nil
}

func (f *flapping) forget(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}

// down returns when all goroutines of f have ended. It may be called again.
func (f *flapping) down(reset bool) {
	f.ln.Close()
	f.mu.Lock()
	for c := range f.conns {
		if reset {
			c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
	}
	f.conns = nil
	f.mu.Unlock()
	f.all.Wait()
}

// bodyOf returns a body that differs for every ID and size.
func bodyOf(id uint64, size int) []byte {
	b := make([]byte, size)
	var seed [32]byte
	copy(seed[:], strconv.FormatUint(id, 36))
	rand.NewChaCha8(seed).Read(b)
	return b
}

// answerBody answers GET /ID/SIZE/FRAMING with bodyOf, and a POST to there with its own
// body if that is the right one.
func answerBody(t *testing.T, c net.Conn) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		part := strings.Split(r.URL.Path, "/")
		id, _ := strconv.ParseUint(part[1], 10, 64)
		size, _ := strconv.Atoi(part[2])
		want := bodyOf(id, size)
		if r.Method == "POST" {
			got, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("a backend got %d bytes of %d, or others, and they look whole", len(got), size)
			}
		}
		resp := &http.Response{
			StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Request: r, Close: part[3] == "close",
			Header: http.Header{"X-ID": {part[1]}}, Body: io.NopCloser(bytes.NewReader(want)), ContentLength: -1,
		}
		switch part[3] {
		case "length":
			resp.ContentLength = int64(size)
		case "chunked":
			resp.TransferEncoding = []string{"chunked"}
		}
		if err := resp.Write(c); err != nil || resp.Close {
			return
		}
	}
}

// flappingFor is how long TestFlapping takes; LB_LONG=1 gives the whole minute.
func flappingFor() time.Duration {
	switch {
	case os.Getenv("LB_LONG") != "":
		return time.Minute
	case raceOn:
		return 5 * time.Second
	}
	return 6 * time.Second
}

// Backends come and go while they answer. An answer that looks whole is the whole
// answer to that very request, to its last byte. The same holds for the requests that
// backends get.
func TestFlapping(t *testing.T) {
	testkit.Long(t)
	for name, tc := range map[string]struct {
		reset    bool
		framings []string
	}{
		"reset": {true, []string{"length", "chunked", "close"}},
		"end":   {false, []string{"length", "chunked"}}, // a part of an answer up to the close would look whole
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode string) { flap(t, mode, tc.reset, tc.framings) })
		})
	}
}

func flap(t *testing.T, mode string, reset bool, framings []string) {
	const clients = 12
	var list []*flapping
	var addrs []string
	for range 3 {
		f := &flapping{addr: testkit.FreePort(t), serve: func(c net.Conn) { answerBody(t, c) }}
		f.up()
		t.Cleanup(func() { f.down(reset) })
		list, addrs = append(list, f), append(addrs, f.addr)
	}
	p := start(t, mode, setup{admin: true, backends: to(addrs...), tables: "[eject]\ntime = \"50ms\"\ntime_max = \"200ms\"\n"})
	var id atomic.Uint64
	var whole, refused, cut atomic.Int64
	client := newClient(t)
	w := gather(t, clients, func(_ int, stop <-chan struct{}) error {
		a := asked{id: id.Add(1), size: []int{0, 100, 5_000, 70_000, 400_000}[rand.IntN(5)], framing: framings[rand.IntN(len(framings))]}
		answered, err := a.by(client, p, rand.IntN(3) == 0)
		switch {
		case err != nil:
			return err
		case answered == 200:
			whole.Add(1)
		case answered == 0:
			cut.Add(1)
		default:
			refused.Add(1)
		}
		pause(rand.N(10*time.Millisecond), stop)
		return nil
	})
	flaps := gather(t, len(list), func(i int, stop <-chan struct{}) error {
		goOn, least := pause(100*time.Millisecond+rand.N(300*time.Millisecond), stop), whole.Load()+20
		for goOn && whole.Load() < least { // a busy machine answers little in that time
			goOn = pause(time.Millisecond, stop)
		}
		if goOn {
			list[i].down(reset)
			pause(rand.N(150*time.Millisecond), stop)
			list[i].up()
		}
		return nil
	})
	pause(flappingFor(), w.stop)
	flaps.leave()
	w.leave()
	t.Logf("%d whole answers, %d of lb's own, %d cut off; %d times down; %v retries, %d ejections",
		whole.Load(), refused.Load(), cut.Load(), flaps.done.Load(), p.metrics(t)["lb_retries_total"], p.told("backend ejected"))
	if n := whole.Load(); n < w.done.Load()/2 {
		t.Errorf("%d of %d answers were whole, want most", n, w.done.Load())
	}
}

// asked is one request of TestFlapping.
type asked struct {
	id      uint64
	size    int
	framing string
}

// by returns the status of an answer that was right, or lb's own; 0 if the client could
// see that the answer was cut off; and an error if the answer was wrong.
func (a asked) by(client *http.Client, p *process, post bool) (status int, err error) {
	method, body := "GET", io.Reader(nil)
	if post {
		method, body = "POST", bytes.NewReader(bodyOf(a.id, a.size))
	}
	req, err := http.NewRequest(method, p.url(fmt.Sprintf("/%d/%d/%s", a.id, a.size, a.framing)), body)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == 502 || resp.StatusCode == 503:
		return resp.StatusCode, nil
	case resp.StatusCode != 200 || resp.Header.Get("X-ID") != strconv.FormatUint(a.id, 10):
		return 0, fmt.Errorf("request %d got %s with %v", a.id, resp.Status, resp.Header)
	case err != nil:
		if !bytes.HasPrefix(bodyOf(a.id, a.size), got) {
			return 0, fmt.Errorf("request %d got something else, and only a part of it", a.id)
		}
		return 0, nil
	case !bytes.Equal(got, bodyOf(a.id, a.size)):
		return 0, fmt.Errorf("request %d got %d bytes of %d, or others, and they look whole (%s)", a.id, len(got), a.size, a.framing)
	}
	return 200, nil
}
