package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lb/backends"
	"lb/bench"
)

// benchCmd is `lb bench`.
type benchCmd struct {
	URL string `arg:"" help:"What to ask for; http:// may be left out."`

	Conns         int           `short:"c" default:"200" placeholder:"N" help:"Conns open at once. Default: 200."`
	Requests      int64         `short:"n" placeholder:"N" help:"How many requests. Default: 100000, without --duration."`
	Duration      time.Duration `short:"d" placeholder:"TIME" help:"For how long, as in 10s; with --requests, whichever ends first."`
	Rate          float64       `short:"r" placeholder:"N" help:"Requests per second, whether answers come or not; latency counts from when each was meant to start. Default: 0, as fast as answers come."`
	Pipeline      int           `default:"1" placeholder:"N" help:"Requests outstanding on a conn. Default: 1."`
	Method        string        `short:"X" placeholder:"NAME" help:"Default: GET, or POST with a body."`
	Header        []string      `short:"H" sep:"none" placeholder:"NAME: VALUE" help:"A field to send; may be repeated."`
	BodyBytes     int           `xor:"body" placeholder:"N" help:"Send a body of so many bytes."`
	BodyFile      string        `xor:"body" placeholder:"FILE" help:"Send the file as the body."`
	Connect       []string      `sep:"none" placeholder:"ADDRESS" help:"Connect to host:port or unix:/path instead of the URL's host; may be repeated."`
	Close         bool          `help:"A conn of its own for each request; latency includes the connecting."`
	Verify        bool          `xor:"verify" help:"Compare length and checksum of every answer with the first."`
	VerifyPattern bool          `xor:"verify" help:"Compare them with what lb backends sends for /bytes/N and /chunked/N."`
	Timeout       time.Duration `default:"10s" placeholder:"TIME" help:"For connecting, and for each answer. Default: 10s."`
	Warmup        time.Duration `placeholder:"TIME" help:"Do the same before, without counting. Default: 0s."`
	Loops         int           `placeholder:"N" help:"Event loops; 0 is one per CPU that this process may use. Default: 0."`
	JSON          bool          `name:"json" help:"Print the result as JSON."`
}

// Run measures until all is done or the user has seen enough.
func (b *benchCmd) Run(exitCode *int, std *streams) error {
	o, err := b.options()
	if err != nil {
		return err
	}
	bar := newProgressBar(std.err)
	if bar != nil {
		o.Progress = bar.show
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := bench.Run(ctx, o)
	bar.clear()
	if err != nil {
		return err
	}
	if result.Errors.Total()+result.Backlog.Unsent > 0 {
		*exitCode = exitFault
	}
	if b.JSON {
		e := json.NewEncoder(std.out)
		e.SetIndent("", "  ")
		return e.Encode(result)
	}
	printResult(std.out, result)
	return nil
}

// options is what the flags say.
func (b *benchCmd) options() (bench.Options, error) {
	o := bench.Options{
		URL: b.URL, Addrs: b.Connect, Conns: b.Conns, Requests: b.Requests, Duration: b.Duration, Rate: b.Rate,
		Pipeline: b.Pipeline, Method: b.Method, BodyBytes: b.BodyBytes, NewConnPerRequest: b.Close,
		Verify: b.Verify || b.VerifyPattern, Loops: b.Loops, Timeout: b.Timeout, Warmup: b.Warmup,
	}
	if o.Requests == 0 && o.Duration == 0 {
		o.Requests = 100_000
	}
	for _, line := range b.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return o, fmt.Errorf("--header: %q is not \"Name: value\"", line)
		}
		o.Fields = append(o.Fields, bench.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	var err error
	if b.BodyFile != "" {
		if o.Body, err = os.ReadFile(b.BodyFile); err != nil {
			return o, err
		}
	}
	if b.VerifyPattern {
		o.Want, err = patternAnswer(b.URL)
	}
	return o, err
}

// patternAnswer returns the body that `lb backends` has for target.
func patternAnswer(target string) (*bench.Answer, error) {
	path, _, _ := strings.Cut(target, "?")
	at := strings.LastIndexByte(path, '/') + 1
	size, err := strconv.ParseInt(path[at:], 10, 64)
	if err != nil || size < 0 || !strings.HasSuffix(path[:at], "/bytes/") && !strings.HasSuffix(path[:at], "/chunked/") {
		return nil, fmt.Errorf("--verify-pattern: %s does not end in /bytes/N or /chunked/N", target)
	}
	a, err := bench.AnswerOf(io.LimitReader(&patternReader{}, size))
	return &a, err
}

// patternReader reads the endless pattern of the demo backends.
type patternReader struct{ off int64 }

func (r *patternReader) Read(b []byte) (int, error) {
	backends.Pattern(b, r.off)
	r.off += int64(len(b))
	return len(b), nil
}

// printResult writes what a person wants to know.
func printResult(w io.Writer, r *bench.Result) {
	seconds := r.Duration.Seconds()
	fmt.Fprintf(w, "%d answers in %.3f s: %.0f per second", r.Answers, seconds, r.Throughput)
	if seconds > 0 {
		fmt.Fprintf(w, ", %s/s read", binary(float64(r.BytesRead)/seconds))
	}
	fmt.Fprintln(w)
	if r.Cut {
		fmt.Fprintf(w, "stopped early, with %d requests under way\n", r.Unfinished)
	}
	if r.Answers > 0 {
		fmt.Fprintf(w, "latency  p50 %s  p90 %s  p99 %s  p99.9 %s  max %s\n", span(r.Latency.At(.5)), span(r.Latency.At(.9)),
			span(r.Latency.At(.99)), span(r.Latency.At(.999)), span(time.Duration(r.Latency.Max())))
	}
	printCounts(w, "status ", []count{{"2xx", r.Status.S2xx}, {"3xx", r.Status.S3xx}, {"4xx", r.Status.S4xx},
		{"5xx", r.Status.S5xx}, {"other", r.Status.Other}})
	if r.Errors.Total() > 0 {
		e := r.Errors
		printCounts(w, "errors ", []count{{"connect", e.Connect}, {"timeout", e.Timeout}, {"reset", e.Reset},
			{"protocol", e.Protocol}, {"status", e.Status}, {"verify", e.Verify}})
	} else {
		fmt.Fprintln(w, "errors   none")
	}
	if b := r.Backlog; b.Waited > 0 || b.Unsent > 0 {
		fmt.Fprintf(w, "backlog  %d had to wait for a conn, at most %d at once; %d were never sent\n", b.Waited, b.Max, b.Unsent)
	}
}

// count is one number and what it counts.
type count struct {
	name string
	n    int64
}

// printCounts writes one line with those that are not zero, if there are any.
func printCounts(w io.Writer, title string, all []count) {
	line := title
	for _, c := range all {
		if c.n > 0 {
			line += fmt.Sprintf("  %s %d", c.name, c.n)
		}
	}
	if line != title {
		fmt.Fprintln(w, line)
	}
}

// span writes a length of time with three digits.
func span(d time.Duration) string {
	switch {
	case d < 999_500*time.Nanosecond:
		return digits(float64(d)/1e3) + " us"
	case d < 999_500*time.Microsecond:
		return digits(float64(d)/1e6) + " ms"
	}
	return digits(d.Seconds()) + " s"
}

// digits writes v with three digits, or more before the point.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// binary writes a number of bytes.
func binary(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if n < 1024 {
			return digits(n) + " " + unit
		}
		n /= 1024
	}
	return digits(n) + " GiB"
}

// progressBar is one line of a terminal, written again and again.
type progressBar struct{ w io.Writer }

// newProgressBar returns nil, which shows nothing, where w is no terminal.
func newProgressBar(w io.Writer) *progressBar {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 || info.Mode()&os.ModeDevice == 0 {
		return nil
	}
	return &progressBar{w}
}

const barCells = 30

// show draws how far the run is.
func (p *progressBar) show(at bench.Progress) {
	if at.Elapsed < 0 {
		fmt.Fprintf(p.w, "\r\x1b[Kwarming up, %.1f s", -at.Elapsed.Seconds())
		return
	}
	full := int(at.Share * barCells)
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %3.0f %%  %d requests, %d errors, %.1f s", strings.Repeat("#", full),
		strings.Repeat(".", barCells-full), 100*at.Share, at.Requests, at.Errors, at.Elapsed.Seconds())
}

// clear leaves the line to others.
func (p *progressBar) clear() {
	if p != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
