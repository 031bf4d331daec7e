package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"lb/board"
	"lb/config"
	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/heads"
	"lb/internal/testkit"
	"lb/proxy/h2back"
	"lb/proxy/record"
)

// framed is a backend's end of an HTTP/2 conn, frame by frame.
type framed struct {
	*http2.Framer
	t    *testing.T
	from *hpack.Decoder
	out  bytes.Buffer
	to   *hpack.Encoder
}

// newFramedFar returns a backend that does this with each conn, counted from 0, once its
// SETTINGS are out.
func newFramedFar(t *testing.T, settings []http2.Setting, do func(i int, f *framed)) *far {
	var conns atomic.Int32
	return newFar(t, func(c net.Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
			return
		}
		f := &framed{Framer: http2.NewFramer(c, c), t: t, from: hpack.NewDecoder(4096, nil)}
		f.to = hpack.NewEncoder(&f.out)
		f.WriteSettings(settings...)
		do(int(conns.Add(1))-1, f)
	})
}

// request returns the next request's stream and its fields; ok is false at the end.
func (f *framed) request() (id uint32, fields map[string]string, ok bool) {
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return 0, nil, false
		}
		switch fr := fr.(type) {
		case *http2.SettingsFrame:
			if !fr.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			all, err := f.from.DecodeFull(fr.HeaderBlockFragment())
			if err != nil {
				f.t.Errorf("the head of a request: %v", err)
			}
			fields = map[string]string{}
			for _, h := range all {
				fields[h.Name] = h.Value
			}
			return fr.StreamID, fields, true
		}
	}
}

// reset waits for RST_STREAM of a stream, and returns its code.
func (f *framed) reset(id uint32) (code http2.ErrCode, ok bool) {
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return 0, false
		}
		if r, is := fr.(*http2.RSTStreamFrame); is && r.StreamID == id {
			return r.ErrCode, true
		}
	}
}

// head sends HEADERS: names and values in turns.
func (f *framed) head(id uint32, end bool, fields ...string) {
	f.out.Reset()
	for i := 0; i < len(fields); i += 2 {
		f.to.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.out.Bytes(), EndHeaders: true, EndStream: end})
}

// hello answers with a small body.
func (f *framed) hello(id uint32) {
	f.head(id, false, ":status", "200")
	f.WriteData(id, true, []byte("hello"))
}

// drain waits for the end of the conn.
func (f *framed) drain() {
	for {
		if _, err := f.ReadFrame(); err != nil {
			return
		}
	}
}

const post = "POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\nab"

// TestBackendH2NotProcessed: what a backend says it has not processed is sent again, even a
// POST; what it may have processed is not.
func TestBackendH2NotProcessed(t *testing.T) {
	refused := record.ByHTTP2(record.CauseReset, record.StreamReset, uint32(http2.ErrCodeRefusedStream)).Detail
	reset := record.ByHTTP2(record.CauseReset, record.StreamReset, uint32(http2.ErrCodeInternal)).Detail
	left := record.ByHTTP2(record.CauseReset, record.ConnEnded, uint32(http2.ErrCodeNo)).Detail
	calm := record.ByHTTP2(record.CauseReset, record.ConnEnded, uint32(http2.ErrCodeEnhanceYourCalm)).Detail
	for _, tc := range []struct {
		what   string
		before int // requests on the conn before
		do     func(f *framed, id uint32)
		status int
		blamed bool
		detail uint16 // or 0 for any
	}{
		{"refused", 0, func(f *framed, id uint32) { f.WriteRSTStream(id, http2.ErrCodeRefusedStream) }, 200, true, refused},
		{"left out", 1, func(f *framed, id uint32) { f.WriteGoAway(id-2, http2.ErrCodeNo, nil) }, 200, false, 0},
		{"left out at once", 0, func(f *framed, id uint32) { f.WriteGoAway(0, http2.ErrCodeNo, nil) }, 200, true, left},
		{"left out, crowded", 1, func(f *framed, id uint32) { f.WriteGoAway(id-2, http2.ErrCodeEnhanceYourCalm, nil) }, 200, true, calm},
		{"taken, then reset", 0, func(f *framed, id uint32) { f.WriteRSTStream(id, http2.ErrCodeInternal) }, 502, true, reset},
		{"taken, then gone", 0, func(f *framed, id uint32) { f.WriteGoAway(id, http2.ErrCodeNo, nil) }, 502, true, 0},
	} {
		far := newFramedFar(t, nil, func(i int, f *framed) {
			for n := 0; ; n++ {
				id, _, ok := f.request()
				if !ok {
					return
				}
				if i > 0 || n != tc.before {
					f.hello(id)
					continue
				}
				if tc.do(f, id); tc.what == "taken, then gone" {
					return
				}
			}
		})
		r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
		for range tc.before {
			r.client().wants(200, "hello")
		}
		if status, body, err := r.client().ask(post); status != tc.status || err != nil {
			t.Errorf("%s: status %d %q, %v", tc.what, status, body, err)
		}
		if f, blamed := r.state(0).LastFault(); blamed != tc.blamed || tc.detail != 0 && f.Detail != tc.detail {
			t.Errorf("%s: the backend is blamed: %v, %x", tc.what, blamed, f.Detail)
		}
		r.client().wants(200, "hello")
	}
}

// TestBackendH2Bad: an answer that HTTP/2 does not allow is not passed on, and costs its own
// stream alone.
func TestBackendH2Bad(t *testing.T) {
	for _, fields := range [][]string{
		{":status", "101"},
		{":status", "20"},
		{"a", "b"},
		{":status", "200", "connection", "close"},
		{":status", "200", "transfer-encoding", "chunked"},
		{":status", "200", "Upper", "case"},
		{":status", "200", "a", "b\r\nc: d"},
		{":status", "200", "content-length", "3"},
		{":status", "200", "content-length", "9"},
		{":status", "200", "x", strings.Repeat("y", 10<<10)},
	} {
		far := newFramedFar(t, nil, func(_ int, f *framed) {
			for n := 0; ; n++ {
				id, _, ok := f.request()
				if !ok {
					return
				}
				if n == 1 {
					f.head(id, false, fields...)
					f.WriteData(id, true, []byte("hello"))
					continue
				}
				f.hello(id)
			}
		})
		cfg := h2Config(config.ProtocolH2C, far)
		cfg.Limits.HeaderBytes = 8 << 10
		r := newBackRig(t, cfg, nil)
		r.client().wants(200, "hello")
		if status, body, err := r.client().ask(post); status != 502 && err == nil {
			t.Errorf("%.60q: status %d %q, %v", fields, status, body, err)
		}
		r.client().wants(200, "hello")
		if n := far.opened.Load(); n != 1 {
			t.Errorf("%.60q: %d conns", fields, n)
		}
	}
}

// TestBackendH2Limit: a backend that allows two streams gets two on a conn, and no more.
func TestBackendH2Limit(t *testing.T) {
	release := make(chan struct{})
	var most, came atomic.Int32
	far := newFramedFar(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 2}}, func(_ int, f *framed) {
		var ids []uint32
		for {
			id, fields, ok := f.request()
			if !ok {
				return
			}
			if fields[":path"] == "/first" {
				f.hello(id)
				continue
			}
			ids = append(ids, id)
			most.Store(max(most.Load(), int32(len(ids))))
			came.Add(1)
			if len(ids) == 2 {
				<-release
				for _, id := range ids {
					f.hello(id)
				}
				ids = ids[:0]
			}
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
	if status, _, err := r.client().ask("GET /first HTTP/1.1\nHost: a\n\n"); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	ended, begun := make(chan string, 4), time.Now()
	for range 4 {
		c := r.client()
		go func() {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			a, err := http.ReadResponse(c.from, nil)
			if err != nil {
				ended <- err.Error()
				return
			}
			all, err := io.ReadAll(a.Body)
			ended <- fmt.Sprint(a.StatusCode, string(all), err)
		}()
	}
	testkit.Until(t, "all requests", func() bool { return came.Load() == 4 })
	took := time.Since(begun)
	close(release)
	for range 4 {
		if got := testkit.Wait(t, ended, "an answer"); got != "200hello<nil>" {
			t.Error(got)
		}
	}
	if far.opened.Load() != 2 && took < h2back.Joinable || most.Load() != 2 { // a conn that takes longer is joined no more
		t.Errorf("%d conns, %d streams at once", far.opened.Load(), most.Load())
	}
}

// TestBackendH2ClientLeaves: the stream of a client that goes away is cancelled, and its conn
// stays for others.
func TestBackendH2ClientLeaves(t *testing.T) {
	came, code := make(chan struct{}), make(chan http2.ErrCode, 1)
	far := newFramedFar(t, nil, func(_ int, f *framed) {
		id, _, _ := f.request()
		f.head(id, false, ":status", "200")
		f.WriteData(id, false, []byte("a part"))
		close(came)
		if c, ok := f.reset(id); ok {
			code <- c
		}
		for {
			id, _, ok := f.request()
			if !ok {
				return
			}
			f.hello(id)
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
	c := r.client()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	testkit.Wait(t, came, "the request")
	if a, err := http.ReadResponse(c.from, nil); err != nil || a.StatusCode != 200 {
		t.Fatal(a, err)
	}
	c.SetLinger(0)
	c.Close()
	if got := testkit.Wait(t, code, "RST_STREAM"); got != http2.ErrCodeCancel {
		t.Errorf("reset with %v", got)
	}
	r.client().wants(200, "hello")
	if far.opened.Load() != 1 {
		t.Errorf("%d conns", far.opened.Load())
	}
}

// TestBackendH2Cut: an answer that is cut in its body is cut for the client.
func TestBackendH2Cut(t *testing.T) {
	for _, how := range []string{"reset", "close"} {
		far := newFramedFar(t, nil, func(_ int, f *framed) {
			id, _, _ := f.request()
			f.head(id, false, ":status", "200")
			f.WriteData(id, false, []byte("a part"))
			if how == "reset" {
				f.WriteRSTStream(id, http2.ErrCodeInternal)
				f.drain()
			}
		})
		r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
		if status, body, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); err == nil {
			t.Errorf("%s: status %d %q looks whole", how, status, body)
		}
	}
}

// TestBackendH2Trailers: a head that ends its stream, and trailers alone.
func TestBackendH2Trailers(t *testing.T) {
	far := newFramedFar(t, nil, func(_ int, f *framed) {
		for {
			id, fields, ok := f.request()
			if !ok {
				return
			}
			switch fields[":path"] {
			case "/none":
				f.head(id, true, ":status", "200", "grpc-status", "5")
			default:
				f.head(id, false, ":status", "200")
				f.head(id, true, "grpc-status", "0")
			}
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
	c := r.client()
	for _, path := range []string{"/none", "/trailers"} {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n", path)
		a, err := http.ReadResponse(c.from, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(a.Body)
		if path == "/none" && (a.ContentLength != 0 || a.Header.Get("grpc-status") != "5") || path != "/none" && a.Trailer.Get("grpc-status") != "0" || err != nil {
			t.Errorf("%s: %v %q %v %v, %v", path, a.Header, all, a.ContentLength, a.Trailer, err)
		}
	}
}

// TestBackendH2Phrase: clients of HTTP/1 get the phrase of the status, which HTTP/2 does not
// have. A code that is not registered has none.
func TestBackendH2Phrase(t *testing.T) {
	far := newFramedFar(t, nil, func(_ int, f *framed) {
		for id, fields, ok := f.request(); ok; id, fields, ok = f.request() {
			f.head(id, false, ":status", "103", "link", "</a>")
			f.head(id, true, ":status", fields[":path"][1:])
		}
	})
	cfg := h2Config(config.ProtocolH2C, far)
	cfg.EarlyHints = true
	r := newBackRig(t, cfg, nil)
	for code, want := range map[string]string{"200": "200 OK", "451": "451 Unavailable For Legal Reasons", "599": "599 "} {
		c := r.client()
		fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", code)
		all, err := io.ReadAll(c.from)
		if s := string(all); !strings.HasPrefix(s, "HTTP/1.1 103 Early Hints\r\n") || !strings.Contains(s, "\r\n\r\nHTTP/1.1 "+want+"\r\n") || err != nil {
			t.Errorf("%q, %v", s, err)
		}
	}
}

// TestBackendH2Stale: a conn that was closed while idle costs nothing, and one that the
// backend closes as the request comes costs another attempt.
func TestBackendH2Stale(t *testing.T) {
	far := newFramedFar(t, nil, func(i int, f *framed) {
		for n := 0; ; n++ {
			id, _, ok := f.request()
			if !ok || i == 0 && n == 1 {
				return
			}
			f.hello(id)
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
	c := r.client()
	for range 3 {
		c.wants(200, "hello")
	}
	if last, any := r.state(0).LastFault(); any {
		t.Errorf("the backend is blamed: %+v", last)
	}
}

// TestBackendH2Told: the board says what a backend has done to HTTP/2.
func TestBackendH2Told(t *testing.T) {
	over := func(d record.HTTP2Detail, number uint32) uint16 {
		return record.ByHTTP2(record.CauseBadAnswer, d, number).Detail
	}
	for _, tc := range []struct {
		what string
		do   func(f *framed, id uint32)
		want uint16
	}{
		{"a name with upper case", func(f *framed, id uint32) { f.head(id, true, ":status", "200", "Upper", "case") }, over(record.Malformed, uint32(heads.BadName))},
		{"a long head", func(f *framed, id uint32) { f.head(id, true, ":status", "200", "x", strings.Repeat("y", 10<<10)) }, uint16(httpparse.LongHead)},
		{"a block of garbage", func(f *framed, id uint32) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bytes.Repeat([]byte{0xff}, 9), EndHeaders: true})
		}, over(record.Broken, uint32(http2.ErrCodeCompression))},
		{"a push", func(f *framed, id uint32) { f.WriteRawFrame(http2.FramePushPromise, 4, id, make([]byte, 5)) }, over(record.Broken, uint32(http2.ErrCodeProtocol))},
		{"PING again and again", func(f *framed, id uint32) {
			for range 5000 {
				f.WritePing(false, [8]byte{})
			}
		}, over(record.Flooded, uint32(h2.FloodPings))},
	} {
		far := newFramedFar(t, nil, func(_ int, f *framed) {
			for id, _, ok := f.request(); ok; id, _, ok = f.request() {
				tc.do(f, id)
			}
		})
		wantTold(t, tc.what, far, tc.want)
	}
	wantTold(t, "HTTP/1", newFar(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	}), over(record.NoHTTP2, 0))
}

// wantTold has far fail, and wants the fault to have that detail.
func wantTold(t *testing.T, what string, far *far, detail uint16) {
	t.Helper()
	cfg := h2Config(config.ProtocolH2C, far)
	cfg.Limits.HeaderBytes = 8 << 10
	r := newBackRig(t, cfg, nil)
	if status, body, err := r.client().ask(post); status != 502 || err != nil {
		t.Errorf("%s: status %d %q, %v", what, status, body, err)
	}
	if f, any := r.state(0).LastFault(); !any || f.Why != board.ReasonBadAnswer || f.Detail != detail {
		t.Errorf("%s: %+v, want the detail %x", what, f, detail)
	}
}

// TestBackendH2ColdBurst: what goes out before a backend has said that it allows fewer streams
// is asked for again at no cost, POST or not, and conns after that have no more than it allows.
func TestBackendH2ColdBurst(t *testing.T) {
	const allowed, requests = 2, 40
	var conns atomic.Int32
	settings := http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: allowed}
	far := newFar(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		f := &framed{Framer: http2.NewFramer(c, c), t: t, from: hpack.NewDecoder(4096, nil)}
		f.to = hpack.NewEncoder(&f.out)
		if conns.Add(1) == 1 {
			f.refuse(requests, allowed, settings)
		} else {
			f.WriteSettings(settings)
		}
		for id, _, ok := f.request(); ok; id, _, ok = f.request() {
			f.hello(id)
		}
	})
	wantBurst(t, far, requests)
}

// TestBackendH2FirstSettings: a conn carries no request before the backend has said how many
// streams it allows, and none beyond that.
func TestBackendH2FirstSettings(t *testing.T) {
	const allowed = 2
	far := newFramedFar(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: allowed}}, func(_ int, f *framed) {
		acked, open := false, 0
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch fr := fr.(type) {
			case *http2.SettingsFrame:
				acked = acked || fr.IsAck()
			case *http2.HeadersFrame:
				if open++; !acked || open > allowed {
					t.Errorf("stream %d of %d, SETTINGS known: %t", open, allowed, acked)
				}
				f.from.DecodeFull(fr.HeaderBlockFragment())
			case *http2.DataFrame:
				if fr.StreamEnded() {
					open--
					f.hello(fr.StreamID)
				}
			}
		}
	})
	wantBurst(t, far, 30)
}

// wantBurst sends n requests at once that may not be retried, and wants all answered, and the
// backend far not blamed.
func wantBurst(t *testing.T, far *far, n int) {
	t.Helper()
	cfg := h2Config(config.ProtocolH2C, far)
	cfg.Retry.Budget, cfg.Retry.BudgetMin = 0, 0
	r := newBackRig(t, cfg, nil)
	ended := make(chan int, n)
	clients := make([]*client, n) // dialled before, since the first conn is joined for a moment only
	for i := range clients {
		clients[i] = r.client()
	}
	for _, c := range clients {
		go func() {
			status, _, _ := c.ask(post)
			ended <- status
		}()
	}
	for range n {
		if status := testkit.Wait(t, ended, "an answer"); status != 200 {
			t.Errorf("status %d", status)
		}
	}
	if f, any := r.state(0).LastFault(); any {
		t.Errorf("the backend is blamed: %+v", f)
	}
}

// refuse waits for the heads of n requests, then says that so many are allowed, answers these
// and refuses the others.
func (f *framed) refuse(n, allowed int, settings http2.Setting) {
	var ids []uint32
	for len(ids) < n {
		fr, err := f.ReadFrame()
		if err != nil {
			f.t.Errorf("%d requests: %v", len(ids), err)
			return
		}
		if h, ok := fr.(*http2.HeadersFrame); ok {
			f.from.DecodeFull(h.HeaderBlockFragment())
			ids = append(ids, h.StreamID)
		}
	}
	f.WriteSettings(settings)
	f.WriteSettingsAck()
	for i, id := range ids {
		if i < allowed {
			f.hello(id)
		} else {
			f.WriteRSTStream(id, http2.ErrCodeRefusedStream)
		}
	}
}

// TestBackendH2StaleTold: a POST that is lost with an idle conn is noted, and blames the
// backend for nothing more.
func TestBackendH2StaleTold(t *testing.T) {
	far := newFramedFar(t, nil, func(_ int, f *framed) {
		if id, _, ok := f.request(); ok {
			f.hello(id)
			f.request() // and the end of the conn
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
	r.client().wants(200, "hello")
	if _, any := r.state(0).LastFault(); any {
		t.Fatal("blamed for a good answer")
	}
	if status, body, err := r.client().ask(post); status != 502 || err != nil {
		t.Errorf("status %d %q, %v", status, body, err)
	}
	if f, any := r.state(0).LastFault(); !any || f.Why != board.ReasonReset {
		t.Errorf("told of: %v, %+v", any, f)
	}
}
