package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/backends"
	"lb/internal/testkit"
)

// pattern is what the demo backends send.
func pattern(t testing.TB, n int) *Answer {
	t.Helper()
	b := make([]byte, n)
	backends.Pattern(b, 0)
	a, err := AnswerOf(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

func TestClosedLoopIsExact(t *testing.T) {
	for _, tc := range []Options{
		{Conns: 1, Requests: 1},
		{Conns: 1, Requests: 1000},
		{Conns: 50, Requests: 7}, // most conns have nothing to do
		{Conns: 7, Requests: 1001, Loops: 3},
		{Conns: 3, Requests: 1000, Pipeline: 16},
		{Conns: 2, Requests: 5, Pipeline: 100, Loops: 2},
		{Conns: 5, Requests: 203, NewConnPerRequest: true, Loops: 2},
		{Conns: 4, Requests: 300, Method: "HEAD"},
		{Conns: 4, Requests: 300, BodyBytes: 100_000, Pipeline: 3},
	} {
		name := fmt.Sprintf("%d conns %d requests pipeline %d %s", tc.Conns, tc.Requests, tc.Pipeline, tc.Method)
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			text := ok("hello")
			if tc.Method == "HEAD" {
				text = strings.TrimSuffix(text, "hello")
			}
			tc.URL = serve(t, func(p *peer) {
				for {
					if _, more := p.request(); !more {
						return
					}
					asked.Add(1)
					if !p.say(text) {
						return
					}
				}
			})
			r := finished(t, tc)
			if r.Answers != tc.Requests || r.Errors.Total() != 0 || asked.Load() != tc.Requests {
				t.Errorf("%d answers, %+v, %d requests came; want %d", r.Answers, r.Errors, asked.Load(), tc.Requests)
			}
			if want := tc.Requests * int64(len(text)); r.BytesRead != want {
				t.Errorf("%d bytes read, want %d", r.BytesRead, want)
			}
			conns := int64(min(tc.Conns, int(tc.Requests)))
			if tc.NewConnPerRequest {
				conns = tc.Requests
			}
			if r.Connects > conns {
				t.Errorf("%d conns opened, want %d at most", r.Connects, conns)
			}
			if r.Throughput <= 0 || r.Duration <= 0 {
				t.Errorf("throughput %v in %v", r.Throughput, r.Duration)
			}
		})
	}
}

func TestBackends(t *testing.T) {
	tcp, ipv6 := backend(t, "127.0.0.1:0"), backend(t, "[::1]:0")
	path := filepath.Join(t.TempDir(), "socket")
	local := backend(t, "unix:"+path)
	for _, tc := range []struct {
		name, path string
		o          Options
	}{
		{"length", "/bytes/1000", Options{Want: pattern(t, 1000)}},
		{"nothing", "/bytes/0", Options{Want: pattern(t, 0)}},
		{"large", "/bytes/3000000", Options{Want: pattern(t, 3_000_000), Requests: 20}},
		{"chunked", "/chunked/300000", Options{Want: pattern(t, 300_000), Requests: 60, Pipeline: 4}},
		{"HEAD", "/bytes/1000", Options{Want: pattern(t, 0), Method: "HEAD"}},
		{"pipeline", "/bytes/10", Options{Want: pattern(t, 10), Pipeline: 64}},
		{"close", "/bytes/10", Options{Want: pattern(t, 10), NewConnPerRequest: true}},
		{"echo", "/echo", Options{Want: &Answer{Length: 3, Sum: 0x364b3fb7}, Body: []byte("abc")}},
		{"IPv6", "/bytes/10", Options{Addrs: []string{ipv6.Addr()}, Want: pattern(t, 10)}},
		{"unix", "/bytes/10", Options{Addrs: []string{local.Addr()}, Want: pattern(t, 10)}},
		{"several", "/bytes/10", Options{Addrs: []string{tcp.Addr(), local.Addr()}, Want: pattern(t, 10)}},
		{"first answer", "/bytes/100000", Options{}},
		{"no content", "/status/204", Options{Want: &Answer{}}},
		{"interim", "/status/103", Options{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := tc.o
			o.URL, o.Conns, o.Loops, o.Verify = "http://"+tcp.Addr()+tc.path, 8, 2, true
			setZero(&o.Requests, 400)
			if r := finished(t, o); r.Answers != o.Requests || r.Errors.Total() > 0 {
				t.Errorf("%d answers, %+v; want %d", r.Answers, r.Errors, o.Requests)
			}
		})
	}
}

func TestDurationAndWarmup(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	url := serve(t, func(p *peer) {
		for {
			if _, more := p.request(); !more {
				return
			}
			asked.Add(1)
			p.say(ok(""))
		}
	})
	for _, rate := range []float64{0, 1000} {
		lasts := 100 * time.Millisecond
		measure := func() *Result {
			asked.Store(0)
			return finished(t, Options{URL: url, Conns: 4, Loops: 2, Duration: lasts, Warmup: lasts, Rate: rate})
		}
		r := measure()
		for (r.Answers == 0 || r.Answers == asked.Load()) && r.Errors.Total() == 0 && lasts < 10*time.Second { // others had the machine
			lasts *= 4
			r = measure()
		}
		if r.Duration < lasts || r.Answers == 0 || r.Errors.Total() > 0 {
			t.Errorf("rate %v: %d answers in %v, %+v; want %v", rate, r.Answers, r.Duration, r.Errors, lasts)
		}
		if r.Answers >= asked.Load() {
			t.Errorf("rate %v: %d answers of %d count; those of the warm-up should not", rate, r.Answers, asked.Load())
		}
		if want := int64(rate * lasts.Seconds()); rate > 0 && (r.Answers != want || asked.Load() != 2*want) {
			t.Errorf("rate %v: %d answers of %d, want %d of %d", rate, r.Answers, asked.Load(), want, 2*want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, rate := range []float64{0, 2000} {
		arrived := make(chan bool, 3)
		url := serve(t, func(p *peer) {
			for range 10 {
				p.request()
				p.say(ok(""))
			}
			if _, more := p.request(); more {
				arrived <- true
			}
			p.wait()
		})
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan bool)
		go func() {
			defer close(stopped)
			<-arrived // a request is outstanding and will not be answered
			cancel()
		}()
		r, err := Run(ctx, Options{URL: url, Conns: 3, Requests: 1 << 40, Rate: rate, Timeout: time.Hour})
		<-stopped
		if err != nil {
			t.Fatal(err)
		}
		checkSums(t, r)
		if !r.Cut || r.Answers < 10 || r.Unfinished < 1 || r.Unfinished > 3 || r.Errors.Total() > 0 {
			t.Errorf("rate %v: cut %v, %d answers, %d unfinished, %+v", rate, r.Cut, r.Answers, r.Unfinished, r.Errors)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	url := serve(t, serveAll(ok("")))
	if r, err := Run(ctx, Options{URL: url, Requests: 1 << 40}); err != nil || !r.Cut {
		t.Errorf("a context that has ended: %+v, %v", r, err)
	}
}

// TestProgress ends a long run after two reports with new requests.
func TestProgress(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	var last Progress
	news := 0
	url := "http://" + backend(t, "127.0.0.1:0").Addr() + "/"
	_, err := Run(ctx, Options{URL: url, Duration: time.Hour, Progress: func(p Progress) {
		if p.Requests < last.Requests || p.Elapsed < last.Elapsed || p.Share != float64(p.Elapsed)/float64(time.Hour) {
			t.Errorf("%+v comes after %+v", p, last)
		}
		if p.Requests > last.Requests {
			news++
		}
		if last = p; news == 2 {
			cancel()
		}
	}})
	if err != nil || news < 2 || last.Errors != 0 {
		t.Errorf("%v; %d reports with new requests, the last report is %+v", err, news, last)
	}
}

func TestResultAsJSON(t *testing.T) {
	before := finished(t, Options{URL: "http://" + backend(t, "127.0.0.1:0").Addr() + "/", Requests: 100})
	b, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	var after Result
	if err := json.Unmarshal(b, &after); err != nil {
		t.Fatal(err)
	}
	if !after.Latency.Equals(before.Latency.Histogram) || after.Latency.At(.99) != before.Latency.At(.99) {
		t.Errorf("latency %v before, %v after", before.Latency.Export(), after.Latency.Export())
	}
	after.Latency = before.Latency
	if after != *before {
		t.Errorf("%+v before, %+v after", *before, after)
	}
	var summary struct {
		Latency struct {
			Count int64   `json:"count"`
			P999  float64 `json:"p99.9_ns"`
		}
	}
	if err := json.Unmarshal(b, &summary); err != nil || summary.Latency.Count != 100 ||
		summary.Latency.P999 != float64(before.Latency.At(.999)) {
		t.Errorf("summary %+v, %v in %s", summary, err, b)
	}
}

// TestNoAllocations compares runs of different length: allocations made once are in
// both.
func TestNoAllocations(t *testing.T) {
	url := "http://" + backend(t, "127.0.0.1:0").Addr() + "/bytes/100"
	const more = 1_000
	for _, o := range []Options{{}, {Pipeline: 8}, {Rate: 50_000}, {Verify: true}, {HTTP2: true, Streams: 8}, {HTTP2: true, Streams: 8, BodyBytes: 100}} {
		o.URL, o.Conns = url, 16
		mallocs := func(requests int64) uint64 {
			o.Requests = requests
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			finished(t, o)
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs
		}
		mallocs(more) // lets the backend allocate what it keeps
		perRequest := math.Inf(1)
		for range 5 { // the runtime now and then allocates a few
			few, many := mallocs(more), mallocs(2*more)
			if perRequest = min(perRequest, float64(int64(many-few))/more); perRequest <= .05 {
				break
			}
		}
		if perRequest > .05 {
			t.Errorf("%+v: %.3f allocations per request, want 0", o, perRequest)
		}
	}
}

// BenchmarkExchange measures client and backend together.
func BenchmarkExchange(b *testing.B) {
	url := "http://" + backend(b, "127.0.0.1:0").Addr() + "/bytes/128"
	b.ReportAllocs()
	b.ResetTimer()
	finished(b, Options{URL: url, Conns: 64, Loops: 1, Requests: int64(b.N)})
}

func BenchmarkRecord(b *testing.B) {
	l := NewLatency()
	for i := int64(0); b.Loop(); i++ {
		l.RecordValue(50_000 + i&0xffff)
	}
}

func TestAnswerOf(t *testing.T) {
	a, err := AnswerOf(strings.NewReader("123456789"))
	if want := (Answer{Length: 9, Sum: 0xe3069283}); a != want || err != nil { // the check value of CRC-32C
		t.Errorf("%+v, %v; want %+v", a, err, want)
	}
	if _, err := AnswerOf(io.MultiReader(strings.NewReader("1"), errReader{})); err != os.ErrClosed {
		t.Errorf("a reader's error: %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, os.ErrClosed }
