package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// Clients that make lb work for nothing: each conn is ended, costs little and harms no
// other; and clients that only look like them are served.

// h2Flood sends on h until the conn ends. n counts from 0.
type h2Flood struct {
	name  string
	reads bool // the client opens windows
	first func(h *h2Conn)
	more  func(h *h2Conn, n int) []byte
}

// times repeats a frame.
func times(n int, frame []byte) []byte { return slices.Repeat(frame, n) }

// h2Head returns HEADERS with a whole request on stream id.
func h2Head(id uint32, flags http2.Flags, pairs ...string) []byte {
	return h2Frame(http2.FrameHeaders, flags|endHeaders, id, h2Block(h2Get(pairs...)))
}

// next opens another stream and returns its number.
func (h *h2Conn) nextID() uint32 { return h.open().id }

// h2Floods are those whose every frame costs the client less than lb.
func h2Floods() []h2Flood {
	fixed := func(b []byte) func(*h2Conn, int) []byte { return func(*h2Conn, int) []byte { return b } }
	open := func(h *h2Conn) { h.send(h2Head(h.nextID(), 0, ":method", "POST")) }
	block := func(h *h2Conn) { h.send(h2Frame(http2.FrameHeaders, 0, h.nextID(), h2Block(h2Get()))) }
	reset := func(id uint32) []byte { return h2Frame(http2.FrameRSTStream, 0, id, u32(8)) }
	return []h2Flood{
		{"rapid reset", false, nil, func(h *h2Conn, n int) []byte { id := h.nextID(); return append(h2Head(id, endStream), reset(id)...) }},
		{"rapid reset of slow requests", false, nil, func(h *h2Conn, n int) []byte {
			id := h.nextID()
			return append(h2Head(id, endStream, ":path", "/hang"), reset(id)...)
		}},
		{"rapid reset of uploads", false, nil, func(h *h2Conn, n int) []byte {
			id := h.nextID()
			return append(h2Head(id, 0, ":method", "POST"), reset(id)...)
		}},
		{"MadeYouReset by WINDOW_UPDATE of 0", false, nil, func(h *h2Conn, n int) []byte {
			id := h.nextID()
			return append(h2Head(id, endStream), h2Frame(http2.FrameWindowUpdate, 0, id, u32(0))...)
		}},
		{"MadeYouReset by an overflow", false, nil, func(h *h2Conn, n int) []byte {
			id := h.nextID()
			return append(h2Head(id, endStream), times(2, h2Frame(http2.FrameWindowUpdate, 0, id, u32(1<<31-1)))...)
		}},
		{"MadeYouReset by DATA after the end", false, nil, func(h *h2Conn, n int) []byte {
			id := h.nextID()
			return append(h2Head(id, endStream), h2Frame(http2.FrameData, 0, id, []byte("x"))...)
		}},
		{"MadeYouReset by a length", false, nil, func(h *h2Conn, n int) []byte {
			id := h.nextID()
			return append(h2Head(id, 0, ":method", "POST", "content-length", "1"), h2Frame(http2.FrameData, endStream, id, []byte("xy"))...)
		}},
		{"malformed requests", false, nil, func(h *h2Conn, n int) []byte { return h2Head(h.nextID(), endStream, "X-Upper", "1") }},
		{"refused streams", false, func(h *h2Conn) {
			for range 200 {
				h.send(h2Head(h.nextID(), 0, ":method", "POST"))
			}
		}, func(h *h2Conn, n int) []byte { return h2Head(h.nextID(), 0, ":method", "POST") }},
		{"CONTINUATION without an end", false, block, fixed(times(16, h2Frame(http2.FrameContinuation, 0, 1, h2Block(h2Fields("x-a", strings.Repeat("a", 800))))))},
		{"empty CONTINUATION", false, block, fixed(times(500, h2Frame(http2.FrameContinuation, 0, 1, nil)))},
		{"empty HEADERS", false, nil, func(h *h2Conn, n int) []byte {
			return h2Frame(http2.FrameHeaders, endHeaders|endStream, h.nextID(), nil)
		}},
		{"SETTINGS", false, nil, fixed(times(500, h2Frame(http2.FrameSettings, 0, 0, nil)))},
		{"full SETTINGS", false, nil, func(h *h2Conn, n int) []byte {
			return h2Frame(http2.FrameSettings, 0, 0, slices.Repeat(h2Settings(4, uint32(n%60000)), 2000))
		}},
		{"SETTINGS that move the table", false, nil, fixed(times(500, append(h2Frame(http2.FrameSettings, 0, 0, h2Settings(1, 0)), h2Frame(http2.FrameSettings, 0, 0, h2Settings(1, 4096))...)))},
		{"PING", false, nil, fixed(times(500, h2Frame(http2.FramePing, 0, 0, []byte("12345678"))))},
		{"PING that is answered", true, nil, fixed(times(500, h2Frame(http2.FramePing, 0, 0, []byte("12345678"))))},
		{"acknowledgements of nothing", false, nil, fixed(times(500, h2Frame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)))},
		{"answers to no PING", false, nil, fixed(times(500, h2Frame(http2.FramePing, http2.FlagPingAck, 0, []byte("12345678"))))},
		{"empty DATA", false, open, fixed(times(500, h2Frame(http2.FrameData, 0, 1, nil)))},
		{"DATA of padding", true, open, func(h *h2Conn, n int) []byte {
			return times(30, h2Frame(http2.FrameData, http2.FlagDataPadded, 1, append([]byte{255}, make([]byte, 255)...)))
		}},
		{"PRIORITY", false, nil, fixed(times(500, h2Frame(http2.FramePriority, 0, 1, append(u32(0), 1))))},
		{"PRIORITY of many streams", false, nil, func(h *h2Conn, n int) []byte {
			return h2Frame(http2.FramePriority, 0, uint32(2*n+1), append(u32(0), 1))
		}},
		{"PRIORITY_UPDATE", false, nil, func(h *h2Conn, n int) []byte { return h2Frame(0x10, 0, 0, append(u32(uint32(2*n+1)), "u=1"...)) }},
		{"WINDOW_UPDATE", false, nil, fixed(times(500, h2Frame(http2.FrameWindowUpdate, 0, 0, u32(1))))},
		{"WINDOW_UPDATE of a stream", false, open, fixed(times(500, h2Frame(http2.FrameWindowUpdate, 0, 1, u32(1))))},
		{"WINDOW_UPDATE of closed streams", true, func(h *h2Conn) { h.ask(true, h2Get()).answer() }, fixed(times(500, h2Frame(http2.FrameWindowUpdate, 0, 1, u32(1))))},
		{"RST_STREAM of a closed stream", true, func(h *h2Conn) { h.ask(true, h2Get()).answer() }, fixed(times(500, h2Frame(http2.FrameRSTStream, 0, 1, u32(8))))},
		{"unknown frames", false, nil, fixed(times(500, h2Frame(0xf0, 0, 0, nil)))},
	}
}

// h2Bomb is a block whose fields are far longer than itself: one long value in the table,
// and thousands of references to it.
func h2Bomb(h *h2Conn, n int) []byte {
	block := h2Block(h2Get())
	block = append(h2Int(append(h2Int(append(block, 0x40), 7, 0, 3), "x-b"...), 7, 0, 4000), strings.Repeat("b", 4000)...)
	block = append(block, times(12_000, []byte{0x80 | 62})...)
	return h2Frame(http2.FrameHeaders, endHeaders|endStream, h.nextID(), block[:min(len(block), 16384)])
}

// h2Churn is a block that pushes out the whole table again and again.
func h2Churn(h *h2Conn, n int) []byte {
	block := h2Block(h2Get())
	for i := range 500 {
		block = append(h2Int(append(h2Int(append(block, 0x40), 7, 0, 3), "x-c"...), 7, 0, 20), fmt.Sprintf("%020d", n*1000+i)...)
	}
	return h2Frame(http2.FrameHeaders, endHeaders|endStream, h.nextID(), block)
}

// floodMemoryMax is how many bytes lb may grow by in all floods.
const floodMemoryMax = 64 << 20

// floodFor is how long a flood may go on. floodBytes is how much it may send by then.
const floodBytes = 64 << 20

// TestHTTP2Floods floods lb, one conn after the other, while others are served.
func TestHTTP2Floods(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", func(r *h2Request) {
			if strings.HasPrefix(r.target, "/hang") && r.in != nil {
				r.closed.Store(true)
				r.conn.Read(make([]byte, 1))
				return
			}
			r.reply(200, nil, "ok")
		})
		others := gather(t, 4, func(i int, stop <-chan struct{}) error { return h2Served([]string{l.clear, l.secure}[i%2], i/2) })
		others.more(t, 4)
		memory := l.watchMemory(t)
		floods := append(h2Floods(), h2Flood{"HPACK bomb", true, nil, h2Bomb}, h2Flood{"churn of the table", true, nil, h2Churn})
		for _, f := range floods {
			before, _ := sumOf(l.metrics(t), h2FloodMetric)
			h := h2Client(t, l.clear)
			calm, sent := f.run(h)
			if !calm {
				t.Errorf("%s: %d bytes are sent, GOAWAY %v, the conn is over: %v (%v); want ENHANCE_YOUR_CALM", f.name, sent, h.goaways, h.over, h.failure)
			} else if after, _ := sumOf(l.metrics(t), h2FloodMetric); after != before+1 {
				t.Errorf("%s: %s went from %v to %v, want one more", f.name, h2FloodMetric, before, after)
			}
			h.end(t)
			others.more(t, 2)
		}
		memory(floodMemoryMax)
		others.leave()
	})
}

// h2FloodMetric counts conns that were ended for a flood.
const h2FloodMetric = "lb_http2_floods_total"

// run floods until the conn ends, and reports whether it was told to calm down.
func (f h2Flood) run(h *h2Conn) (calm bool, sent int) {
	h.mu.Lock()
	h.manual = !f.reads
	h.mu.Unlock()
	if f.first != nil {
		f.first(h)
	}
	over := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.over || h.leaving || h.calm()
	}
	for n := 0; sent < floodBytes && !over(); n++ {
		b := f.more(h, n)
		h.send(b)
		sent += len(b)
	}
	return h.wait(h.calm), sent
}

// h2Served does an exchange on a new conn, of HTTP/1 or HTTP/2.
func h2Served(addr string, version int) error {
	if version == 0 {
		c, err := connect(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * testkit.Patience))
		resp, body, err := newRawConn(c).ask(lines("GET / HTTP/1.1", "Host: a"))
		if err == nil && (resp.StatusCode != 200 || body != "ok") {
			err = fmt.Errorf("HTTP/1: %s %q", resp.Status, body)
		}
		return err
	}
	h, err := tryH2(addr)
	if err != nil {
		return err
	}
	defer h.close()
	if a := h.ask(true, h2Get()).answer(); !a.whole(200) {
		return fmt.Errorf("HTTP/2: %v, GOAWAY %v", a, h.goaways)
	}
	return nil
}

// TestHTTP2Busy does what busy clients do, often: nothing of it is taken for a flood.
func TestHTTP2Busy(t *testing.T) {
	bytesOnly(t)
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", func(r *h2Request) {
			if strings.HasPrefix(r.target, "/big") {
				r.reply(200, nil, string((&pattern{size: 1 << 20}).next(1<<20)))
				return
			}
			r.reply(200, nil, "ok")
		})
		all := sync.WaitGroup{}
		for name, act := range h2Busy {
			h := h2Client(t, l.clear, 4, 1<<20)
			all.Go(func() {
				act(h)
				if a := h.ask(true, h2Get()).answer(); !a.whole(200) {
					t.Errorf("%s: then %v, GOAWAY %v", name, a, h.goaways)
				}
			})
		}
		all.Wait()
		if n, _ := sumOf(l.metrics(t), h2FloodMetric); n != 0 {
			t.Errorf("%v floods are counted", n)
		}
	})
}

// h2Busy are what such clients do.
var h2Busy = map[string]func(h *h2Conn){
	"a browser leaves a page": func(h *h2Conn) {
		for range 3 {
			var list []*h2Stream
			for range 100 {
				list = append(list, h.ask(true, h2Get(":path", "/big")))
			}
			for _, s := range list {
				s.rst(http2.ErrCodeCancel)
			}
			h.ask(true, h2Get()).answer()
		}
	},
	"many requests": func(h *h2Conn) {
		for range 50 {
			var list []*h2Stream
			for range 100 {
				list = append(list, h.ask(true, h2Get()))
			}
			for _, s := range list {
				s.answer()
			}
		}
	},
	"every second answer is cancelled": func(h *h2Conn) {
		for i := range 200 {
			s := h.ask(true, h2Get(":path", "/big"))
			h.wait(func() bool { return s.headed })
			if i%2 == 0 {
				s.rst(http2.ErrCodeCancel)
			} else {
				s.answer()
			}
		}
	},
	"windows are opened for each frame": func(h *h2Conn) {
		for range 20 {
			h.ask(true, h2Get(":path", "/big")).answer() // the client does that
		}
	},
	"an upload in small pieces": func(h *h2Conn) {
		s := h.ask(false, h2Post())
		for range 2000 {
			s.data(false, []byte("0123456789"))
		}
		s.data(true, nil)
		s.answer()
	},
	"a PING for each request": func(h *h2Conn) { // as some clients of gRPC do
		for range 100 {
			h.frame(http2.FramePing, 0, 0, []byte("12345678"))
			h.ask(true, h2Get()).answer()
		}
	},
}
