package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// BigBuffers ends the names of nginx and HAProxy with larger buffers than they have
// by default.
const BigBuffers = "-big"

// titles are the names of proxies as tables have them.
var titles = map[string]string{
	"direct": "direct", "relay": "byte relay", "nginx": "nginx", "haproxy": "HAProxy",
	"lb-mp": "**lb, mp**", "lb-mt": "**lb, mt**", "before-mp": "lb before, mp", "before-mt": "lb before, mt",
	"nginx-big": "nginx, 32k buffers", "haproxy-big": "HAProxy, 128k buffers",
}

// references are the proxies that others are compared with.
var references = []string{"relay", "nginx", "haproxy"}

// others are the proxies in the columns of costs, besides lb.
var others = []string{"relay", "nginx", "haproxy", "nginx-big", "haproxy-big"}

// table is rows of cells. The first row is the heading.
type table [][]string

// String writes t as Markdown: the first column left, numbers right.
func (t table) String() string {
	var b strings.Builder
	for i, row := range t {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|---|%s\n", strings.Repeat("--:|", len(row)-1))
		}
	}
	return b.String()
}

// method tells a reader how the figures were measured.
const method = `All proxies run at once. Each is measured once a round, in an order that turns from round to round, and ratios are
taken within the rounds: what disturbs the machine for a while disturbs all.
CPU time is that of all processes of a proxy, as the kernel charges it. On a noisy machine it moves by a few
percent where throughput and latency move by a third, so it is the figure to compare. **direct** is the load without
a proxy; the **byte relay** copies bytes and reads no HTTP, which is what any proxy has to pay at least. The settings
are in ` + "`bench/compare/templates`" + `; "buffers" are nginx and HAProxy with larger ones than they have by default.
` + "`just bench`" + ` repeats it.
`

// writeMarkdown writes the whole report. base is the path of the report's files as
// seen from the text, without their suffixes.
func (r *Report) writeMarkdown(w io.Writer, base string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# lb compared, %s\n\n<!-- Written by bench/compare from %s.json; do not edit. -->\n\n%s\n%s\n", day(r.Date), base, method, r.Preface())
	if len(r.costs()) > 1 {
		fmt.Fprintf(&b, "## CPU time per request\n\n![CPU time per request](%s-cost.svg)\n\n%s\n\n%s\n", base, costsNote, r.costs())
	}
	fmt.Fprintf(&b, "## Latency\n\n![Latency](%s-latency.svg)\n\n", base)
	for i := range r.Cases {
		r.Cases[i].WriteMarkdown(&b, r.Cores)
	}
	fmt.Fprintf(&b, "Every measurement: [JSON](%s.json), [CSV](%s.csv).\n", base, base)
	_, err := b.WriteTo(w)
	return err
}

// Preface says where the figures come from.
func (r *Report) Preface() string {
	var b strings.Builder
	m := &r.Machine
	fmt.Fprintf(&b, "Commit %s, %s, on a %s with %d CPUs (%s), %.0f GiB, Linux %s, %s.\n",
		r.Commit, r.Date, m.kind(), m.CPUs, m.CPU, float64(m.Memory)/(1<<30), m.Kernel, m.Platform)
	var versions []string
	for _, name := range []string{"go", "nginx", "haproxy"} {
		if v := r.Versions[name]; v != "" {
			versions = append(versions, strings.Trim(Title(name), "*")+" "+v)
		}
	}
	fmt.Fprintf(&b, "%s. One worker each where nothing else is said; %s.\n", strings.Join(versions, ", "), r.Cores)
	fmt.Fprintf(&b, "%d rounds of %g s, medians; in parentheses the range of the rounds.\nCommand: `%s`\n", r.Rounds, r.Seconds, r.Command)
	if len(r.Missing) > 0 {
		fmt.Fprintf(&b, "Not installed, so not compared: %s.\n", strings.Join(r.Missing, ", "))
	}
	return b.String()
}

func Title(name string) string {
	if t, ok := titles[name]; ok {
		return t
	}
	return name
}

func day(date string) string { return date[:min(len(date), len("2006-01-02"))] }

// WriteMarkdown writes the table of one case as Markdown. It says which cores were
// used unless that is usual. Errors of w are ignored.
func (c *Case) WriteMarkdown(w io.Writer, usual string) {
	fmt.Fprintf(w, "## %s\n\n%s", c.Name, c.About)
	if c.Rate != 0 {
		fmt.Fprintf(w, ": %.0f requests/s", c.Rate)
	}
	if c.Cores != usual {
		fmt.Fprintf(w, "; %s", c.Cores)
	}
	fmt.Fprintf(w, "\n\n%s\n", c.table())
	for i := range c.Proxies {
		if p := &c.Proxies[i]; p.errors() > 0 {
			fmt.Fprintf(w, "%s: **%d requests failed**\n\n", Title(p.Name), p.errors())
		}
	}
}

// table returns one row for each proxy.
func (c *Case) table() table {
	if c.isIdle() {
		return c.idleTable()
	}
	head := []string{"", "req/s", "of direct", "p50", "p99", "p99.9", "CPU us/req", "user", "system", "memory"}
	refs := c.references()
	for _, name := range refs {
		head = append(head, "CPU / "+Title(name))
	}
	t := table{head}
	direct := c.proxy("direct")
	for i := range c.Proxies {
		p := &c.Proxies[i]
		row := []string{Title(p.Name), fmt.Sprintf("%.0f", of(p.Rounds, throughputOf).median), share(p, direct),
			latency(of(p.Rounds, p50Of).median), latency(of(p.Rounds, p99Of).median), latency(of(p.Rounds, p999Of).median)}
		if p == direct {
			row = append(row, "", "", "", "")
		} else {
			row = append(row, number(of(p.Rounds, cpuOf).median), number(of(p.Rounds, userOf).median),
				number(of(p.Rounds, systemOf).median), mebibytes(of(p.Rounds, memoryOf).median))
		}
		for _, name := range refs {
			row = append(row, comparison(p, c.proxy(name), cpuOf))
		}
		t = append(t, row)
	}
	return t
}

// idleTable returns the table of a case that measures memory.
func (c *Case) idleTable() table {
	refs := c.references()
	head := []string{"", "bytes per conn", "memory"}
	for _, name := range refs {
		head = append(head, "/ "+Title(name))
	}
	t := table{head}
	for i := range c.Proxies {
		p := &c.Proxies[i]
		row := []string{Title(p.Name), fmt.Sprintf("%.0f", of(p.Rounds, idleOf).median), mebibytes(of(p.Rounds, memoryOf).median)}
		for _, name := range refs {
			row = append(row, comparison(p, c.proxy(name), idleOf))
		}
		t = append(t, row)
	}
	return t
}

// references returns the references that took part in c.
func (c *Case) references() []string {
	return slices.DeleteFunc(slices.Clone(references), func(name string) bool { return c.proxy(name) == nil })
}

// share returns the throughput of p as a share of direct's.
func share(p, direct *Proxy) string {
	if direct == nil || p == direct {
		return ""
	}
	s := ratio(p.Rounds, direct.Rounds, throughputOf)
	return fmt.Sprintf("%.0f %%", 100*s.median)
}

// comparison returns the ratio of p to reference with its range, or "" if p is
// reference or direct.
func comparison(p, reference *Proxy, pick func(*Round) float64) string {
	if p == reference || p.Name == "direct" {
		return ""
	}
	s := ratio(p.Rounds, reference.Rounds, pick)
	if s == (spread{}) {
		return ""
	}
	if len(p.Rounds) == 1 {
		return fmt.Sprintf("%.2f", s.median)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.min, s.max)
}

const costsNote = "Microseconds of the proxy's processes, and what part lb's are of the others'; lb in mp / in mt."

// costs returns one row for each case of requests that both modes of lb took part
// in.
func (r *Report) costs() table {
	head := []string{"", "lb mp / mt"}
	for _, name := range others {
		head = append(head, Title(name))
	}
	for _, name := range references {
		head = append(head, "of "+Title(name))
	}
	t := table{append(head, "of the best proxy")}
	for i := range r.Cases {
		c := &r.Cases[i]
		mp, mt := c.proxy("lb-mp"), c.proxy("lb-mt")
		if mp == nil || mt == nil || c.isIdle() {
			continue
		}
		row := []string{c.Name, number(of(mp.Rounds, cpuOf).median) + " / " + number(of(mt.Rounds, cpuOf).median)}
		for _, name := range others {
			if p := c.proxy(name); p != nil {
				row = append(row, number(of(p.Rounds, cpuOf).median))
			} else {
				row = append(row, "")
			}
		}
		for _, name := range references {
			row = append(row, parts(mp, mt, c.proxy(name)))
		}
		t = append(t, append(row, parts(mp, mt, c.best())))
	}
	return t
}

// parts returns the costs of both modes of lb as shares of that of p, which may be
// nil.
func parts(mp, mt, p *Proxy) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%.2f / %.2f", ratio(mp.Rounds, p.Rounds, cpuOf).median, ratio(mt.Rounds, p.Rounds, cpuOf).median)
}

// best returns the cheaper of nginx and HAProxy, or nil if neither took part.
func (c *Case) best() *Proxy {
	nginx, haproxy := c.cheapest("nginx"), c.cheapest("haproxy")
	if nginx == nil || haproxy != nil && of(haproxy.Rounds, cpuOf).median < of(nginx.Rounds, cpuOf).median {
		return haproxy
	}
	return nginx
}

// cheapest returns the proxy of a family with the buffers that cost it the least
// CPU time, or nil if none took part.
func (c *Case) cheapest(program string) *Proxy {
	p, big := c.proxy(program), c.proxy(program+BigBuffers)
	if p == nil || big != nil && of(big.Rounds, cpuOf).median < of(p.Rounds, cpuOf).median {
		return big
	}
	return p
}

// number formats x with three digits, or more if the integer part has more.
func number(x float64) string {
	switch a := math.Abs(x); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", x)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// latency formats microseconds.
func latency(us float64) string {
	if us < 1000 {
		return number(us) + " us"
	}
	return number(us/1000) + " ms"
}

func mebibytes(b float64) string { return number(b/(1<<20)) + " MiB" }
