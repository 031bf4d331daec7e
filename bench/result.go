package bench

import (
	"encoding/json"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is the result of a run, of all requests started after the warm-up.
type Result struct {
	Requests   int64         `json:"requests"`   // Answers, and the Errors without an answer (all but Status and Verify)
	Answers    int64         `json:"answers"`    // complete, of any status
	Unfinished int64         `json:"unfinished"` // outstanding when the run was cut off
	Errors     Errors        `json:"errors"`
	Status     Statuses      `json:"status"`
	BytesRead  int64         `json:"bytes_read"`    // heads included
	BytesSent  int64         `json:"bytes_written"` // heads included
	Duration   time.Duration `json:"duration_ns"`   // from the end of the warm-up to the last answer
	Throughput float64       `json:"throughput"`    // answers per second
	Latency    Latency       `json:"latency"`       // of every answer, in ns
	Connects   int64         `json:"connects"`      // conns opened, warm-up included
	Backlog    Backlog       `json:"backlog"`       // of the open loop
	TLS        *TLS          `json:"tls,omitempty"` // nil for plain HTTP
	CPU        CPU           `json:"cpu"`           // of this process, warm-up included
	Cut        bool          `json:"cut"`           // the context ended before the run
}

// TLS is the result of handshakes, warm-up included. Versions and suites are names such as
// those of crypto/tls.
type TLS struct {
	Handshakes int64  `json:"handshakes"`      // that have succeeded
	Resumed    int64  `json:"resumed"`         // of these Handshakes
	Version    string `json:"version"`         // of the first one
	Suite      string `json:"suite"`           // of the first one
	Error      string `json:"error,omitempty"` // of the first handshake that has failed
}

// add adds the handshakes of another loop.
func (t *TLS) add(u *TLS) {
	t.Handshakes += u.Handshakes
	t.Resumed += u.Resumed
	if t.Version == "" {
		t.Version, t.Suite = u.Version, u.Suite
	}
	if t.Error == "" {
		t.Error = u.Error
	}
}

// Errors counts failed requests by kind. A request counts once at most.
type Errors struct {
	Connect   int64 `json:"connect"`   // no conn: refused, unreachable, not within Timeout
	Handshake int64 `json:"handshake"` // no TLS
	Timeout   int64 `json:"timeout"`   // no complete answer within Timeout
	Reset     int64 `json:"reset"`     // the conn ended before the answer was complete
	Protocol  int64 `json:"protocol"`  // the bytes received are not an answer
	Status    int64 `json:"status"`    // an answer with a status other than 2xx and 3xx
	Verify    int64 `json:"verify"`    // an answer with another length or checksum
}

// Total returns the number of failed requests.
func (e *Errors) Total() int64 {
	return e.answerless() + e.Status + e.Verify
}

// answerless returns the number of requests that failed without a complete answer.
func (e *Errors) answerless() int64 {
	return e.Connect + e.Handshake + e.Timeout + e.Reset + e.Protocol
}

func (e *Errors) add(f *Errors) {
	e.Connect += f.Connect
	e.Handshake += f.Handshake
	e.Timeout += f.Timeout
	e.Reset += f.Reset
	e.Protocol += f.Protocol
	e.Status += f.Status
	e.Verify += f.Verify
}

// Statuses counts answers by the first digit of their status.
type Statuses struct {
	S2xx  int64 `json:"2xx"`
	S3xx  int64 `json:"3xx"`
	S4xx  int64 `json:"4xx"`
	S5xx  int64 `json:"5xx"`
	Other int64 `json:"other"`
}

// add adds answers by the first digit of their status.
func (s *Statuses) add(byDigit *[10]int64) {
	s.S2xx += byDigit[2]
	s.S3xx += byDigit[3]
	s.S4xx += byDigit[4]
	s.S5xx += byDigit[5]
	for _, digit := range [...]int{6, 7, 8, 9} {
		s.Other += byDigit[digit]
	}
}

// Backlog shows how far an open loop fell behind because no conn was free. The
// latency of a request that had to wait includes the wait.
type Backlog struct {
	Max    int64 `json:"max"`    // requests waiting at once; the sum of each loop's maximum
	Waited int64 `json:"waited"` // requests that had to wait
	Unsent int64 `json:"unsent"` // given up Timeout after the end of the run
}

// add adds the backlog of another loop.
func (b *Backlog) add(f *Backlog) {
	b.Max += f.Max
	b.Waited += f.Waited
	b.Unsent += f.Unsent
}

// CPU is processor time.
type CPU struct {
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
}

// A histogram holds values from 1 ns to latencyMax with three digits. Longer ones
// count as latencyMax.
const (
	latencyMax    = 60 * time.Second
	latencyDigits = 3
)

// Latency is a histogram of nanoseconds. Its JSON is a summary and, as "hdr", the
// whole histogram in HdrHistogram's compressed format in base64.
type Latency struct{ *hdrhistogram.Histogram }

// NewLatency returns an empty histogram. All of them have the same range, so any two
// can be merged.
func NewLatency() Latency {
	return Latency{hdrhistogram.New(1, int64(latencyMax), latencyDigits)}
}

// At returns the latency that the share q (0 to 1) of the answers do not exceed.
func (l Latency) At(q float64) time.Duration { return time.Duration(l.ValueAtQuantile(100 * q)) }

// latencyJSON is the JSON form of Latency.
type latencyJSON struct {
	Count int64   `json:"count"`
	Min   int64   `json:"min_ns"`
	Mean  float64 `json:"mean_ns"`
	P50   int64   `json:"p50_ns"`
	P90   int64   `json:"p90_ns"`
	P99   int64   `json:"p99_ns"`
	P999  int64   `json:"p99.9_ns"`
	Max   int64   `json:"max_ns"`
	HDR   string  `json:"hdr"`
}

// MarshalJSON implements json.Marshaler.
func (l Latency) MarshalJSON() ([]byte, error) {
	if l.Histogram == nil {
		l = NewLatency()
	}
	packed, err := l.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	return json.Marshal(latencyJSON{
		Count: l.TotalCount(), Min: l.Min(), Mean: l.Mean(), Max: l.Max(),
		P50: int64(l.At(.5)), P90: int64(l.At(.9)), P99: int64(l.At(.99)), P999: int64(l.At(.999)),
		HDR: string(packed),
	})
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Latency) UnmarshalJSON(b []byte) (err error) {
	var j latencyJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	l.Histogram, err = hdrhistogram.Decode([]byte(j.HDR))
	return err
}
