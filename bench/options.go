package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"time"
)

const (
	// TimeoutDefault is the Timeout of Options that have none.
	TimeoutDefault = 10 * time.Second

	connsMax    = 1 << 20
	pipelineMax = 1 << 10
	bodyMax     = 1 << 30 // bytes
)

// Options describe a run: what is requested, how often and how fast. URL and at
// least one of Requests and Duration have to be set.
type Options struct {
	// URL is the target: http://host[:port]/path?query, or https.
	URL string
	// Addrs are the addresses to connect to, host:port or unix:/path. The conns
	// use them in turn. Empty: the host of URL.
	Addrs []string

	Conns    int           // open at once; 0: 1
	Requests int64         // the run ends after this many; 0: no limit
	Duration time.Duration // no request starts after it; 0: no limit
	Rate     float64       // requests/s of an open loop; 0: a closed loop
	Pipeline int           // outstanding requests on a conn; 0: 1
	HTTP2    bool          // speak HTTP/2: over TLS by ALPN, else by prior knowledge
	Streams  int           // outstanding requests on a conn that speaks HTTP/2, as far as the server allows; 0: 1

	Method    string  // empty: GET, or POST if there is a body
	Fields    []Field // sent as they are, after Host; a field named Host replaces it
	Body      []byte  // sent with every request
	BodyBytes int     // the size of a body to make, if Body is nil

	// NewConnPerRequest sends each request with "Connection: close" on a conn of
	// its own. Latency then includes connecting.
	NewConnPerRequest bool

	// TLS are the settings for https. nil: those of crypto/tls. Without a ServerName the
	// host of URL is taken, without NextProtos http/1.1 is offered.
	TLS *tls.Config
	// Resume makes each new conn but the first of each client resume a TLS session. Without
	// it every handshake is a full one.
	Resume bool

	// Verify compares every answer with a status of 2xx or 3xx with Want or, if
	// that is nil, with the first such answer.
	Verify bool
	Want   *Answer

	Loops   int           // threads; 0: one per CPU, no more than Conns
	Timeout time.Duration // for connecting, and for each answer; 0: TimeoutDefault
	Warmup  time.Duration // load of the same kind before the run, which is not counted

	// Progress, if not nil, is called a few times a second during the run, on a
	// goroutine of its own, and never after Run has returned.
	Progress func(Progress)
}

// Field is one field line of the request.
type Field struct{ Name, Value string }

// Progress is the state of a run.
type Progress struct {
	Elapsed  time.Duration // since the end of the warm-up; negative during it
	Requests int64         // answered or failed
	Errors   int64         // of these Requests
	Share    float64       // of the whole run, 0 to 1
}

// withDefaults returns o with its defaults filled in, or an error if o cannot be
// run.
func (o Options) withDefaults() (Options, error) {
	setZero(&o.Conns, 1)
	setZero(&o.Pipeline, 1)
	setZero(&o.Streams, 1)
	setZero(&o.Timeout, TimeoutDefault)
	setZero(&o.Loops, runtime.GOMAXPROCS(0))
	o.Loops = min(o.Loops, o.Conns)
	if o.Requests > 0 {
		o.Loops = int(min(int64(o.Loops), o.Requests))
	}
	if o.NewConnPerRequest && o.Pipeline > 1 {
		return o, errors.New("bench: a conn of its own for each request leaves nothing to pipeline")
	}
	if o.NewConnPerRequest && o.Streams > 1 {
		return o, errors.New("bench: a conn of its own for each request has one stream")
	}
	if o.HTTP2 && o.Pipeline > 1 {
		return o, errors.New("bench: HTTP/2 has streams, and pipelines nothing")
	}
	if !o.HTTP2 && o.Streams > 1 {
		return o, errors.New("bench: HTTP/1.1 has no streams")
	}
	if o.Requests == 0 && o.Duration == 0 {
		return o, errors.New("bench: neither a number of requests nor a duration is given")
	}
	if o.Body != nil && o.BodyBytes != 0 {
		return o, errors.New("bench: a body and a size of one are given; one is enough")
	}
	return o, o.check()
}

// setZero gives *v its default if it is zero.
func setZero[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// check returns an error that names a number out of its range.
func (o *Options) check() error {
	for _, n := range []struct {
		name     string
		v        float64
		min, max float64
	}{
		{"conns", float64(o.Conns), 1, connsMax},
		{"requests", float64(o.Requests), 0, 1 << 53},
		{"duration", o.Duration.Seconds(), 0, 1 << 30},
		{"rate", o.Rate, 0, 1e8},
		{"pipeline", float64(o.Pipeline), 1, pipelineMax},
		{"streams", float64(o.Streams), 1, streamsMax},
		{"body bytes", float64(o.BodyBytes + len(o.Body)), 0, bodyMax},
		{"loops", float64(o.Loops), 1, 1 << 10},
		{"timeout", o.Timeout.Seconds(), 1e-3, 1 << 30},
		{"warm-up", o.Warmup.Seconds(), 0, 1 << 30},
	} {
		if !(n.min <= n.v && n.v <= n.max) { // written this way, NaN is out of range
			return fmt.Errorf("bench: %s: %v is out of range; use %v to %v", n.name, n.v, n.min, n.max)
		}
	}
	return nil
}
