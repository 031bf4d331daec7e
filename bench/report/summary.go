package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// summary lists the cases that README shows, and their names there.
var summary = []struct{ name, words string }{
	{"small", "128 B answers"},
	{"kb16", "16 KiB answers"},
	{"kb64", "64 KiB answers"},
	{"mb1", "1 MiB answers"},
	{"close", "a new conn per request"},
	{"tls-small", "TLS 1.3, 128 B answers"},
	{"tls-64k", "TLS 1.3, 64 KiB answers"},
	{"tls-full", "TLS 1.3, a full handshake per request"},
	{"tls-resumed", "TLS 1.3, a resumed session per request"},
	{"h2-16x16", "HTTP/2, 16 conns x 16 streams, 128 B answers"},
	{"h2-1x100", "HTTP/2, 1 conn x 100 streams, 128 B answers"},
	{"h2-16x16-64k", "HTTP/2, 16 conns x 16 streams, 64 KiB answers"},
	{"h2-tls-16x16", "HTTP/2 over TLS, 16 conns x 16 streams, 128 B answers"},
	{"h2c-1x100", "HTTP/2 on both sides, 1 conn x 100 streams, 128 B answers"},
	{"h2c-grpc-1x100", "a unary gRPC call, 1 conn x 100 streams"},
	{"idle", "memory per idle conn, bytes"},
	{"tls-idle", "memory per idle conn with TLS 1.3, bytes"},
	{"h2-idle", "memory per idle HTTP/2 conn with TLS 1.3, bytes"},
}

// summarized returns the proxies that README shows of a case: lb in its default
// mode, nginx and HAProxy each with the cheaper of its buffer sizes, and the relay.
// A proxy that did not take part is nil.
func (c *Case) summarized() []*Proxy {
	lb := c.proxy("lb-mp")
	if lb == nil {
		lb = c.proxy("lb-mt")
	}
	return []*Proxy{lb, c.cheapest("nginx"), c.cheapest("haproxy"), c.proxy("relay")}
}

// summaryTable returns a row for each case of the summary that lb took part in.
func (r *Report) summaryTable() table {
	t := table{{"CPU time per request, µs", "lb", "nginx", "HAProxy", "byte relay", "lb / nginx", "lb / HAProxy"}}
	for _, s := range summary {
		c := r.find(s.name)
		if c == nil || c.summarized()[0] == nil {
			continue
		}
		pick, write := cpuOf, number
		if c.isIdle() {
			pick, write = idleOf, func(x float64) string { return fmt.Sprintf("%.0f", x) }
		}
		proxies, row := c.summarized(), []string{s.words}
		for _, p := range proxies {
			if p == nil {
				row = append(row, "")
			} else {
				row = append(row, write(of(p.Rounds, pick).median))
			}
		}
		for _, p := range proxies[1:3] {
			if p == nil {
				row = append(row, "")
			} else {
				row = append(row, comparison(proxies[0], p, pick))
			}
		}
		t = append(t, row)
	}
	return t
}

// plotSummary draws the CPU times of README's table.
func (r *Report) plotSummary(w io.Writer) error {
	var cases []*Case
	var shares []float64
	for _, s := range summary {
		c := r.find(s.name)
		if c == nil || c.isIdle() || c.best() == nil || c.summarized()[0] == nil {
			continue
		}
		named := *c
		named.Name, named.About = s.words, ""
		cases = append(cases, &named)
		shares = append(shares, ratio(c.summarized()[0].Rounds, c.best().Rounds, cpuOf).median)
	}
	present := func(c *Case) []*Proxy {
		return slices.DeleteFunc(c.summarized(), func(p *Proxy) bool { return p == nil })
	}
	c := costChart(cases, present, (*Case).best, "the better of nginx and HAProxy")
	for i := range c.Panels {
		c.Panels[i].Rows[0].Name = "lb" // in its default mode
	}
	c.Title = "CPU time per request"
	if s := spreadOf(shares); s.max > 0 {
		c.Title = fmt.Sprintf("CPU time: lb needs %.0f to %s of what the better of nginx and HAProxy needs", 100*s.min, percent(s.max))
	}
	return c.WriteSVG(w)
}

// readmeText returns what README shows of the report in file.
func (r *Report) readmeText(file string) string {
	var b strings.Builder
	base := strings.TrimSuffix(file, ".json")
	fmt.Fprintf(&b, "%s\n![CPU time per request of lb, nginx, HAProxy and a byte relay](%s-summary.svg)\n\n", r.summaryTable(), base)
	fmt.Fprintf(&b, "Medians of %d rounds of %g s, and in parentheses the range of the ratios within the rounds. nginx and HAProxy\n"+
		"have the cheaper of two buffer sizes; the relay copies bytes and reads no HTTP. Measured on a %s\n"+
		"with %d CPUs (%s); see [%s](%s) for the whole report.\n",
		r.Rounds, r.Seconds, r.Machine.kind(), r.Machine.CPUs, r.Machine.CPU, docsFile, docsFile)
	return b.String()
}

// docsFile is the file of the whole report, seen from README's directory.
const docsFile = "docs/benchmarks.md"
