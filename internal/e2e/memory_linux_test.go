package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// hugeBytes is the length of a body that is far larger than lb may become.
func hugeBytes() int64 {
	if testing.Short() {
		return 64 << 20
	}
	return 1 << 30
}

// hugeMemoryMax is how many bytes lb may grow by while such a body passes.
const hugeMemoryMax = 8 << 20

// digestOfHuge is the digest of hugeBytes bytes of the pattern.
var digestOfHuge = sync.OnceValue(func() string {
	sum, _ := digest(&pattern{size: hugeBytes()})
	return sum
})

func TestHugeDownload(t *testing.T) {
	bytesOnly(t)
	size := hugeBytes()
	eachModeAlone(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			(&pattern{size: size}).WriteTo(w)
		}))})
		wantGrowth := p.watchMemory(t)
		resp, err := newClient(t).Get(p.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := digest(resp.Body); err != nil || got != digestOfHuge() || resp.ContentLength != size {
			t.Errorf("got %s, %v; want %s", got, err, digestOfHuge())
		}
		wantGrowth(hugeMemoryMax)
	})
}

func TestHugeUpload(t *testing.T) {
	bytesOnly(t)
	size := hugeBytes()
	eachModeAlone(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			got, err := digest(r.Body)
			fmt.Fprintf(w, "length=%d %s, %v", r.ContentLength, got, err)
		}))})
		wantGrowth := p.watchMemory(t)
		req, err := http.NewRequest("POST", p.url("/"), &pattern{size: size})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = size
		resp, err := newClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if want := fmt.Sprintf("length=%d %s, <nil>", size, digestOfHuge()); err != nil || string(got) != want {
			t.Errorf("the backend got %s, %v; want %s", got, err, want)
		}
		wantGrowth(hugeMemoryMax)
	})
}

const (
	idleConns   = 10000
	idleConnMax = 1 << 10 // bytes of lb's memory for each of them
	ofLoopback  = 4       // source addresses, against a lack of ports
)

// roomForIdle returns how many idle conns the descriptor limit allows. The test needs a
// descriptor for each, and so does lb, which in mt reserves a second one for each in the
// same process. Some room is left, because SO_REUSEPORT spreads conns evenly only on
// average and each loop has its own limit.
func roomForIdle(t *testing.T, mode string) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	hard, want := int(min(limit.Max, 1<<30)), idleConns
	if raceOn { // with the detector a conn takes ten times as long, and other memory
		want /= 10
	}
	room := min(hard-1000, want)
	if mode == "mt" {
		room = min(room, hard/2-600)
	}
	if room < 100 {
		t.Skipf("the hard limit of descriptors is %d, too few for 100 idle conns: raise ulimit -Hn", hard)
	}
	if room < want {
		t.Logf("%d idle conns, not %d: the hard limit of descriptors is %d", room, want, hard)
	}
	return room
}

// An idle conn, which has been served, costs lb less than 1 KiB.
func TestIdleConns(t *testing.T) {
	testkit.Long(t)
	eachModeAlone(t, func(t *testing.T, mode string) {
		n := roomForIdle(t, mode)
		p := start(t, mode, setup{
			backends: to(demo(t, "127.0.0.1:0", "b").Addr()), admin: true, tables: "[timeouts]\nclient_idle = \"1h\"\n",
		})
		for range 10 { // both loops have worked, and the server for the operator
			get(t, newClient(t), p.url("/"))
		}
		p.metrics(t)
		base := p.memory(t)
		conns, err := openIdle(p.addr, n)
		defer func() {
			for _, c := range conns {
				c.Close()
			}
		}()
		if err != nil {
			t.Fatal(err)
		}
		if got := p.metrics(t)["lb_client_connections"]; got < float64(n) {
			t.Errorf("lb has %v conns, want %d", got, n)
		}
		each := (p.memory(t) - base) / int64(n)
		t.Logf("%d idle conns cost %d bytes each", n, each)
		if each >= idleConnMax && !raceOn {
			t.Errorf("an idle conn costs %d bytes, want less than %d", each, idleConnMax)
		}
		for _, i := range []int{0, n / 2, n - 1} { // they still work
			if err := served(conns[i]); err != nil {
				t.Error(err)
			}
		}
	})
}

// openIdle opens n conns, each of which has been answered once. The caller closes the
// conns, even after an error.
func openIdle(addr string, n int) (conns []net.Conn, err error) {
	const dialers = 16
	numbers := make(chan int, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range dialers {
		all.Go(func() {
			for i := range numbers {
				c, dialErr := dialFrom(addr, i%ofLoopback)
				if dialErr == nil {
					dialErr = served(c)
				}
				mu.Lock()
				if c != nil {
					conns = append(conns, c)
				}
				if dialErr != nil {
					err = dialErr
				}
				mu.Unlock()
				if dialErr != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return conns, err
}

// dialFrom dials from the nth address of the loopback interface.
func dialFrom(addr string, n int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n))}}
	return d.DialContext(ctx, "tcp", addr)
}

// served does one exchange on c.
func served(c net.Conn) error {
	c.SetDeadline(time.Now().Add(2 * testkit.Patience))
	if _, err := io.WriteString(c, lines("GET / HTTP/1.1", "Host: x")); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 1<<10), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
