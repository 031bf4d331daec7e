package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"lb/bench"
)

// What `lb bench` prints for a person to read.

// printResult writes a summary of the result.
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
	if t := r.TLS; t != nil {
		printTLS(w, t)
	}
	printCounts(w, "status ", []count{{"2xx", r.Status.S2xx}, {"3xx", r.Status.S3xx}, {"4xx", r.Status.S4xx},
		{"5xx", r.Status.S5xx}, {"other", r.Status.Other}})
	if r.Errors.Total() > 0 {
		e := r.Errors
		printCounts(w, "errors ", []count{{"connect", e.Connect}, {"handshake", e.Handshake}, {"timeout", e.Timeout}, {"reset", e.Reset},
			{"protocol", e.Protocol}, {"status", e.Status}, {"verify", e.Verify}})
	} else {
		fmt.Fprintln(w, "errors   none")
	}
	if b := r.Backlog; b.Waited > 0 || b.Unsent > 0 {
		fmt.Fprintf(w, "backlog  %d had to wait for a conn, at most %d at once; %d were never sent\n", b.Waited, b.Max, b.Unsent)
	}
}

// printTLS writes what came of the handshakes.
func printTLS(w io.Writer, t *bench.TLS) {
	if t.Handshakes > 0 {
		fmt.Fprintf(w, "tls      %s, %s, %d handshakes, %d resumed\n", t.Version, t.Suite, t.Handshakes, t.Resumed)
	}
	if t.Error != "" {
		hint := ""
		if strings.Contains(t.Error, "x509: ") {
			hint = "; trust it with --cacert FILE, or use --insecure"
		}
		fmt.Fprintf(w, "tls      the first error: %s%s\n", t.Error, hint)
	}
}

// count is one number and what it counts.
type count struct {
	name string
	n    int64
}

// printCounts writes one line with the counts that are not zero, if there are any.
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

// binary writes a number of bytes in a unit that suits it.
func binary(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if n < 1024 {
			return digits(n) + " " + unit
		}
		n /= 1024
	}
	return digits(n) + " GiB"
}

// progressBar is one line of a terminal that is overwritten as the run goes on. A nil
// bar is for output that is not a terminal.
type progressBar struct{ w io.Writer }

// newProgressBar returns a bar on w, or nil if w is not a terminal.
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

// show draws how far the run has come.
func (p *progressBar) show(at bench.Progress) {
	if at.Elapsed < 0 {
		fmt.Fprintf(p.w, "\r\x1b[Kwarming up, %.1f s", -at.Elapsed.Seconds())
		return
	}
	full := int(at.Share * barCells)
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %3.0f %%  %d requests, %d errors, %.1f s", strings.Repeat("#", full),
		strings.Repeat(".", barCells-full), 100*at.Share, at.Requests, at.Errors, at.Elapsed.Seconds())
}

// clear erases the bar.
func (p *progressBar) clear() {
	if p != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
