package bench

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

const (
	// TimeoutDefault is how long an answer is waited for when Options say nothing.
	TimeoutDefault = 10 * time.Second

	connsMax    = 1 << 20
	pipelineMax = 1 << 10
	bodyMax     = 1 << 30 // bytes
)

// Options say what is asked of whom, how often and how fast. URL and at least
// one of Requests and Duration have to be set.
type Options struct {
	// URL is what is asked for: http://host[:port]/path?query.
	URL string
	// Addrs are where to connect, each host:port or unix:/path; the conns take
	// them in turn. Empty: the host of URL.
	Addrs []string

	Conns    int           // open at once; 0: 1
	Requests int64         // the run ends after so many; 0: no end
	Duration time.Duration // the run starts nothing after it; 0: no end
	Rate     float64       // requests/s of an open loop; 0: a closed loop
	Pipeline int           // requests outstanding on a conn; 0: 1

	Method    string  // empty: GET, or POST where there is a body
	Fields    []Field // sent as they are, behind Host; one named Host replaces it
	Body      []byte  // sent with every request
	BodyBytes int     // when there is no Body: one of so many bytes

	// NewConnPerRequest has each request say "Connection: close" on a conn of
	// its own. Latency then includes the connecting.
	NewConnPerRequest bool

	// Verify compares every answer that has the status of a success with Want
	// or, if that is nil, with the first of them.
	Verify bool
	Want   *Answer

	Loops   int           // threads; 0: one per CPU, no more than Conns
	Timeout time.Duration // to connect, and for each answer; 0: TimeoutDefault
	Warmup  time.Duration // goes before the run, in the same way, and is not counted

	// Progress is called a few times a second during the run, on a goroutine of
	// its own, and not again once Run returns. nil: nobody is told.
	Progress func(Progress)
}

// Field is one field line of the request.
type Field struct{ Name, Value string }

// Progress is how far a run is.
type Progress struct {
	Elapsed  time.Duration // since the warm-up's end; below zero during the warm-up
	Requests int64         // ended, well or not
	Errors   int64         // of these
	Share    float64       // of the whole run, 0 to 1
}

// withDefaults returns o with every zero that stands for something replaced,
// or why it cannot be run.
func (o Options) withDefaults() (Options, error) {
	setZero(&o.Conns, 1)
	setZero(&o.Pipeline, 1)
	setZero(&o.Timeout, TimeoutDefault)
	setZero(&o.Loops, runtime.GOMAXPROCS(0))
	o.Loops = min(o.Loops, o.Conns)
	if o.Requests > 0 {
		o.Loops = int(min(int64(o.Loops), o.Requests))
	}
	if o.NewConnPerRequest && o.Pipeline > 1 {
		return o, errors.New("bench: a conn of its own for each request leaves nothing to pipeline")
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

// check tells which number is out of its range.
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
		{"body bytes", float64(o.BodyBytes + len(o.Body)), 0, bodyMax},
		{"loops", float64(o.Loops), 1, 1 << 10},
		{"timeout", o.Timeout.Seconds(), 1e-3, 1 << 30},
		{"warm-up", o.Warmup.Seconds(), 0, 1 << 30},
	} {
		if !(n.min <= n.v && n.v <= n.max) { // so written, NaN is out of range
			return fmt.Errorf("bench: %s: %v is out of range; use %v to %v", n.name, n.v, n.min, n.max)
		}
	}
	return nil
}
