package metrics

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"lb/board"
	"lb/config"
	"lb/proxy/record"
)

const askProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// inProto returns what the handler for o shows as protocol buffers, by name.
func inProto(t *testing.T, o Options) map[string]*dto.MetricFamily {
	t.Helper()
	w := scraped(t, handlerOf(t, o), askProto)
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/vnd.google.protobuf") {
		t.Fatalf("Content-Type %q", got)
	}
	all := map[string]*dto.MetricFamily{}
	for d := expfmt.NewDecoder(w.Body, expfmt.FmtProtoDelim); ; {
		var f dto.MetricFamily
		if err := d.Decode(&f); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if all[f.GetName()] != nil {
			t.Errorf("%s comes twice", f.GetName())
		}
		all[f.GetName()] = &f
	}
}

// TestFormatsAgree: text and protocol buffers show the same metrics with the same values,
// and only the latter have native histograms.
func TestFormatsAgree(t *testing.T) {
	o := counted()
	view := o.View()
	view.BackendSeries = [][]int{{2, -1}, {2}}
	o.View = func() View { return view }
	observe(o.Board.Series(0, 0), 3*time.Millisecond)
	o.Board.Loop(0).Faults[board.FaultKind(2, 4, 7)].Add(2)
	text, err := served(t, o)()
	if err != nil {
		t.Fatal(err)
	}
	inProto := inProto(t, o)
	for _, want := range text {
		name := want.GetName()
		got := inProto[name]
		if !strings.HasPrefix(name, "lb_") || got == nil {
			if got == nil {
				t.Errorf("%s is in the text only", name)
			}
			continue
		}
		for _, m := range got.Metric {
			if h := m.Histogram; h != nil {
				*h = dto.Histogram{SampleCount: h.SampleCount, SampleSum: h.SampleSum, Bucket: append(h.Bucket,
					&dto.Bucket{CumulativeCount: h.SampleCount, UpperBound: proto.Float64(math.Inf(1))})}
			}
		}
		var a, b bytes.Buffer
		expfmt.MetricFamilyToText(&a, got)
		expfmt.MetricFamilyToText(&b, want)
		if a.String() != b.String() && sorted(a.String()) != sorted(b.String()) {
			t.Errorf("%s as protocol buffers:\n%s\nas text:\n%s", name, a.String(), b.String())
		}
		delete(inProto, name)
	}
	for name := range inProto {
		if strings.HasPrefix(name, "lb_") {
			t.Errorf("%s is in the protocol buffers only", name)
		}
	}
}

// sorted returns the lines of s in order.
func sorted(s string) string {
	list := strings.Split(s, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// observe counts each of times once in every histogram of s.
func observe(s *board.Series, times ...time.Duration) {
	for _, d := range times {
		for _, h := range []*board.Histogram{&s.Total, &s.FirstByte, &s.Connect, &s.Queue, &s.Handshake} {
			h.Observe(d)
		}
	}
}

// TestHistogramFormats: whatever was counted, both kinds of buckets say the same as the
// board.
func TestHistogramFormats(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		o := options()
		for range random.IntN(40) {
			loop := random.IntN(2)
			o.Board.Series(loop, 0).Total.Observe(time.Duration(math.Exp2(random.Float64()*50 - 2)))
		}
		want := o.Board.SeriesTotals(0).Total
		for _, m := range inProto(t, o)["lb_request_seconds"].Metric {
			if m.Label[0].GetValue() == "api" {
				checkHistogram(t, m.Histogram, &want)
			}
		}
	}
}

// checkHistogram checks both kinds of buckets of h.
func checkHistogram(t *testing.T, h *dto.Histogram, want *board.HistogramSum) {
	t.Helper()
	if h.GetSampleCount() != want.Count() || h.GetSampleSum() != float64(want.Nanos)/1e9 {
		t.Errorf("count %d, sum %v; want %d and %d ns", h.GetSampleCount(), h.GetSampleSum(), want.Count(), want.Nanos)
	}
	for _, b := range h.Bucket {
		below := uint64(0)
		for i, n := range want.Counts {
			if board.Bound(i) <= b.GetUpperBound() {
				below += n
			}
		}
		if b.GetCumulativeCount() != below {
			t.Errorf("%d up to %v, want %d", b.GetCumulativeCount(), b.GetUpperBound(), below)
		}
	}
	var got board.HistogramSum
	got.Counts[0] = h.GetZeroCount()
	index, at, n := int32(0), 0, int64(0)
	for _, s := range h.PositiveSpan {
		index += s.GetOffset()
		for range s.GetLength() {
			n += h.PositiveDelta[at]
			got.Counts[boundAt(t, math.Exp2(float64(index)/8))] = uint64(n)
			index, at = index+1, at+1
		}
	}
	if got.Counts != want.Counts || at != len(h.PositiveDelta) || h.GetSchema() != 3 || h.GetZeroThreshold() != board.Bound(0) {
		t.Errorf("native: %v\nwant %v", got.Counts, want.Counts)
	}
}

// boundAt returns the bucket of the board whose upper bound is this, or the last one if all
// bounds are lower.
func boundAt(t *testing.T, seconds float64) int {
	t.Helper()
	for i := range board.HistogramBuckets - 1 {
		if math.Abs(board.Bound(i)/seconds-1) < 1e-9 {
			return i
		}
	}
	if seconds < board.Bound(board.HistogramBuckets-2) {
		t.Errorf("%v is no bound of the board", seconds)
	}
	return board.HistogramBuckets - 1
}

// TestOctaves: the bounds of cumulative buckets are bounds of the board.
func TestOctaves(t *testing.T) {
	for _, o := range append(slices.Clone(poolOctaves), backendOctaves...) {
		if o.seconds != board.Bound(o.bucket) {
			t.Errorf("%v is given the bucket up to %v", o.seconds, board.Bound(o.bucket))
		}
	}
}

// TestSeriesShown: each pool shows its own histograms, over all loops, and its backends
// theirs if they are counted; those of TLS only where there is TLS.
func TestSeriesShown(t *testing.T) {
	o := options()
	view := o.View()
	for series, n := range []int{1, 10, 100} {
		for loop := range 2 {
			for range n {
				observe(o.Board.Series(loop, series), time.Second)
			}
		}
	}
	count := func() string {
		families, err := served(t, o)()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range families {
			for _, m := range f.Metric {
				if m.Histogram == nil || f.GetName() == handshakeSeconds.name {
					continue
				}
				line := strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "lb_"), "_seconds")
				for _, l := range m.Label {
					line += " " + l.GetValue()
				}
				lines = append(lines, fmt.Sprint(line, " ", m.Histogram.GetSampleCount()))
			}
		}
		return strings.Join(lines, "\n")
	}
	view.Series = []int{1, -1}
	o.View = func() View { return view }
	want := "connect default 20\nfirst_byte default 20\nqueue default 20\nrequest default 20"
	if got := count(); got != want {
		t.Errorf("one pool:\n%s\nwant\n%s", got, want)
	}
	view.Series, view.BackendSeries, view.Number = []int{1, 0}, [][]int{{2, -1}, {0}}, 8
	want = "backend_handshake api 2\nconnect api 2\nconnect default 20\nfirst_byte api 2\nfirst_byte default 20\n"
	for _, name := range []string{"connect", "first_byte", "handshake", "queue", "request"} {
		if name != "handshake" {
			want += "per_backend_" + name + " 10.0.0.1:9001 default 200\n"
		}
		want += "per_backend_" + name + " [::1]:80 api 2\n"
	}
	want += "queue api 2\nqueue default 20\nrequest api 2\nrequest default 20"
	if got := count(); got != want {
		t.Errorf("with backends:\n%s\nwant\n%s", got, want)
	}
}

// TestFaultsShown: a fault is shown by its three names, over all loops, once it has happened.
func TestFaultsShown(t *testing.T) {
	o := options()
	find := func() string {
		body := scraped(t, handlerOf(t, o), "text/plain").Body.String()
		var lines []string
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "lb_faults_total") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	if got := find(); got != "" {
		t.Errorf("without faults: %s", got)
	}
	note := func(loop int, side record.Side, phase record.Phase, cause record.Cause) {
		o.Board.Loop(loop).Faults[board.FaultKind(uint8(side), uint8(phase), uint8(cause))].Add(1)
	}
	note(0, record.BackendSide, record.Wait, record.CauseReset)
	note(1, record.BackendSide, record.Wait, record.CauseReset)
	note(1, record.NoSide, record.Relay, record.CauseSlow)
	note(1, record.LBSide, record.Pick, record.CauseNoTunnel)
	want := `lb_faults_total{cause="slow",phase="relay",side="none"} 1
lb_faults_total{cause="reset",phase="wait",side="backend"} 2
lb_faults_total{cause="no_tunnel",phase="pick",side="lb"} 1
`
	if got := find(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestCompression: gzip if it is asked for, and the same text in it.
func TestCompression(t *testing.T) {
	h := handlerOf(t, counted())
	plain := scraped(t, h, "text/plain").Body.String()
	for accept, want := range map[string]bool{
		"": false, "identity": false, "gzip": true, "deflate, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0, br": false, "gzipped": false,
	} {
		r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		r.Header.Set("Accept-Encoding", accept)
		h.ServeHTTP(w, r)
		body := w.Body.String()
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("%q: compressed %v, want %v", accept, got, want)
		} else if want {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(z)
			if err != nil {
				t.Errorf("%q: %v", accept, err)
			}
			body = string(b)
		}
		ours := func(s string) string { before, _, _ := strings.Cut(s, "# HELP go_"); return before }
		if ours(body) != ours(plain) {
			t.Errorf("%q: another text", accept)
		}
	}
}

// TestOddLabels: what a configuration may hold is written so that it can be read again.
func TestOddLabels(t *testing.T) {
	const odd = "a\"b\\c\nd\u00e9"
	o := options()
	view := o.View()
	view.Config = &config.Config{Pools: []config.Pool{{Name: odd, Backends: []config.Backend{{Socket: "/run/" + odd, Weight: 1}}}}}
	view.IDs, view.Series = [][]int{{0}}, nil
	o.View = func() View { return view }
	families, err := served(t, o)()
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]*dto.MetricFamily{}
	for _, f := range families {
		text[f.GetName()] = f
	}
	for format, all := range map[string]map[string]*dto.MetricFamily{"text": text, "protocol buffers": inProto(t, o)} {
		l := all["lb_backend_up"].Metric[0].Label
		if l[0].GetValue() != "unix:/run/"+odd || l[1].GetValue() != odd {
			t.Errorf("%s: %v", format, l)
		}
	}
}
