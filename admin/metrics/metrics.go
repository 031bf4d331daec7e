// Package metrics shows what is on the board in the formats of Prometheus. It does not know
// who asks, or what runs the loops.
package metrics

import (
	"compress/gzip"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"lb/admin/api"
	"lb/board"
	"lb/config"
)

// Options say what is shown. Functions are called for every scrape, by several goroutines
// at once.
type Options struct {
	Board   *board.Board
	View    func() View  // every ID and series in it is claimed on the board
	Now     func() int64 // the clock of the board, in nanoseconds
	Version string
	// Workers returns how many worker processes run, Processes the processes of lb: this
	// one, and its workers. Both are nil if lb runs without workers.
	Workers   func() int
	Processes func() []Process
	// LastReload returns whether the last reload was taken up, and when the configuration
	// in use was. nil shows neither.
	LastReload func() (ok bool, loaded time.Time)
	// Certificates returns the certificates in use. nil shows none.
	Certificates func() []api.Certificate
	// RateLimits returns the rate limits, with the state of their stores. nil shows none.
	RateLimits func() []api.RateLimit
	// Discovery returns the sources and names of backends. nil shows none.
	Discovery func() []api.Discovery
	// ConfigStore returns the state of the store that has the configuration, or nil if that
	// is a file. nil shows none.
	ConfigStore func() *api.ConfigStore
}

// Process is one process of lb.
type Process struct {
	Name string // "supervisor", "worker 1"
	PID  int
}

// View is a configuration and the numbers on the board of what is in it. Nothing changes it.
type View struct {
	Config *config.Config
	IDs    [][]int // of backends, by pool
	Awaits bool    // the default pool is one, although it has no backend at the moment
	Number uint64  // of the configuration, counted from 1
	Series []int   // by pool, or nil; -1 for none
	// BackendSeries is like IDs, or nil; -1 for none.
	BackendSeries [][]int
}

// scrapesMax is how many scrapes run at once; more are answered with 503.
const scrapesMax = 4

// Handler returns the handler of /metrics.
func Handler(o Options, errorLog *log.Logger) http.Handler {
	h := &handler{
		collector: collector{board: o.Board, now: o.Now, view: o.View},
		others:    others(o),
		errorLog:  errorLog,
		scrapes:   make(chan *scrape, scrapesMax),
	}
	for range scrapesMax {
		h.scrapes <- new(scrape)
	}
	return h
}

// handler answers with the metrics of the board and of others.
type handler struct {
	collector
	others   *prometheus.Registry
	errorLog *log.Logger
	scrapes  chan *scrape // that no scrape uses
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var s *scrape
	select {
	case s = <-h.scrapes:
	default:
		http.Error(w, "too many scrapes at once, try again later", http.StatusServiceUnavailable)
		return
	}
	defer func() { h.scrapes <- s }()
	format := expfmt.NegotiateAccept(r.Header, expfmt.FmtText, expfmt.FmtProtoDelim)
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Vary", "Accept, Accept-Encoding")
	out := io.Writer(w)
	if asksForGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		z := s.compressor(w)
		defer z.Close()
		out = z
	}
	s.reset(out, format.FormatType() == expfmt.TypeProtoDelim)
	h.write(s)
	if s.end() != nil {
		return // the client is gone
	}
	giveWay()
	families, err := h.others.Gather()
	if err != nil {
		h.errorLog.Print("metrics: not all could be read: ", err)
	}
	giveWay()
	e := expfmt.NewEncoder(out, format)
	for _, f := range families {
		if e.Encode(f) != nil {
			return
		}
	}
}

// asksForGzip reports whether r accepts an answer by gzip (RFC 9110 12.5.3).
func asksForGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";q=")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(weight, 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}

// compressor returns the gzip writer of s, for w. It compresses fast, because the processor
// time belongs to requests: names and labels repeat so often that little is lost.
func (s *scrape) compressor(w io.Writer) *gzip.Writer {
	if s.gzip == nil {
		s.gzip, _ = gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
	}
	s.gzip.Reset(w)
	return s.gzip
}
