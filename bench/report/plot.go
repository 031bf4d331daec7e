package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"lb/bench/chart"
)

// tones are the colors of the proxies. Those not listed are gray.
var tones = map[string]chart.Tone{
	"lb-mp": chart.Accent, "lb-mt": chart.Accent, "before-mp": chart.AccentPale, "before-mt": chart.AccentPale,
	"nginx": chart.Green, "nginx-big": chart.GreenPale, "haproxy": chart.Blue, "haproxy-big": chart.BluePale,
}

// plotColumns is the number of columns of the plots of all cases.
const plotColumns = 2

// plotCost draws the CPU time per request of all cases of requests, as shares of
// the base.
func (r *Report) plotCost(w io.Writer) error {
	var cases []*Case
	for i := range r.Cases {
		if !r.Cases[i].isIdle() {
			cases = append(cases, &r.Cases[i])
		}
	}
	base := r.base()
	c := costChart(cases, (*Case).withCPU, func(c *Case) *Proxy { return c.proxy(base) }, plotName(base))
	c.Title = "CPU time per request"
	c.Columns = plotColumns
	return c.WriteSVG(w)
}

// base returns the name of the proxy that is 100 % in the plot of costs: the first
// of nginx, HAProxy and the relay that took part.
func (r *Report) base() string {
	for _, name := range []string{"nginx", "haproxy", "relay"} {
		if slices.ContainsFunc(r.Cases, func(c Case) bool { return c.proxy(name) != nil }) {
			return name
		}
	}
	return "lb-mp"
}

// withCPU returns the proxies that have CPU time of their own, which direct has not.
func (c *Case) withCPU() (all []*Proxy) {
	for i := range c.Proxies {
		if p := &c.Proxies[i]; p.Name != "direct" {
			all = append(all, p)
		}
	}
	return all
}

// costChart returns a chart of the proxies that pick returns of each case. Costs are
// shares of the cost of the case's base, so that cases of 12 us and of 700 us have
// one scale. words names the base.
func costChart(cases []*Case, pick func(*Case) []*Proxy, base func(*Case) *Proxy, words string) *chart.Chart {
	c := &chart.Chart{Heads: []string{"share", "µs"}}
	highest := 1.0
	for _, cs := range cases {
		b := base(cs)
		if b == nil {
			continue
		}
		p := chart.Panel{Name: cs.Name, About: shortAbout(cs.About)}
		for _, proxy := range pick(cs) {
			share := ratio(proxy.Rounds, b.Rounds, cpuOf)
			row := chart.Row{Name: plotName(proxy.Name), Tone: tones[proxy.Name], Strong: strings.HasPrefix(proxy.Name, "lb-"), To: share.median,
				Figures: []string{percent(share.median), number(of(proxy.Rounds, cpuOf).median)}}
			if share.max > share.min {
				row.Low, row.High = share.min, share.max
			}
			p.Rows = append(p.Rows, row)
			highest = max(highest, share.max)
		}
		c.Panels = append(c.Panels, p)
	}
	if len(c.Panels) > 0 {
		c.Notes = []string{"Shorter is better; 100 % is " + words + ". Bars and µs are medians, whiskers span all rounds."}
		c.Scale = shareScale(highest)
	}
	return c
}

// shareScale returns a scale from 0 to highest with ticks every 25 %, or every 50 %
// and so on if there would be too many.
func shareScale(highest float64) chart.Scale {
	step := .25
	for highest/step > 6 {
		step *= 2
	}
	s := chart.Scale{Max: highest}
	for i := 0; float64(i)*step <= highest; i++ {
		at := float64(i) * step
		s.Ticks = append(s.Ticks, chart.Tick{At: at, Label: percent(at), Mark: at == 1})
	}
	return s
}

func percent(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

// plotName returns the title without Markdown.
func plotName(name string) string { return strings.Trim(Title(name), "*") }

// shortAbout returns about without the remarks after a semicolon.
func shortAbout(about string) string {
	about, _, _ = strings.Cut(about, ";")
	return about
}

// plotLatency draws the latencies of all cases at 50 %, 99 % and 99.9 % of the
// answers.
func (r *Report) plotLatency(w io.Writer) error {
	c := &chart.Chart{Title: "Latency", Columns: plotColumns}
	lowest, highest := math.Inf(1), 0.0
	for i := range r.Cases {
		cs := &r.Cases[i]
		p := chart.Panel{Name: cs.Name, About: shortAbout(cs.About)}
		for i := range cs.Proxies {
			proxy := &cs.Proxies[i]
			row := chart.Row{Name: plotName(proxy.Name), Tone: tones[proxy.Name], Strong: strings.HasPrefix(proxy.Name, "lb-"),
				From: proxy.within(.5)}
			row.To = max(row.From, proxy.within(.99))
			row.Low, row.High = row.To, max(row.To, proxy.within(.999))
			if row.From > 0 {
				p.Rows = append(p.Rows, row)
				lowest, highest = min(lowest, row.From), max(highest, row.High)
			}
		}
		if len(p.Rows) > 0 {
			c.Panels = append(c.Panels, p)
		}
	}
	if len(c.Panels) > 0 {
		c.Notes = []string{"Bars go from the median to 99 % of the answers, whiskers to 99.9 %; all rounds together. Further left is better."}
		c.Scale = timeScale(lowest, highest)
	}
	return c.WriteSVG(w)
}

// within returns the microseconds within which that share of the answers came, or 0
// if the curve does not reach it.
func (p *Proxy) within(share float64) float64 {
	for _, q := range p.Curve {
		if q.Share >= share {
			return q.Micros
		}
	}
	return 0
}

// timeScale returns a logarithmic scale in microseconds with ticks at 1 and 3 of
// each decade. It begins at a tick that is lowest or below.
func timeScale(lowest, highest float64) chart.Scale {
	s := chart.Scale{Min: lowest, Max: highest, Log: true}
	for decade := math.Pow10(int(math.Floor(math.Log10(lowest)))); decade <= highest; decade *= 10 {
		for _, at := range []float64{decade, 3 * decade} {
			if at <= lowest {
				s.Min, s.Ticks = at, nil
			}
			if at <= highest {
				s.Ticks = append(s.Ticks, chart.Tick{At: at, Label: roundTime(at)})
			}
		}
	}
	return s
}

func roundTime(us float64) string {
	if us < 1000 {
		return strconv.FormatFloat(us, 'g', 4, 64) + " µs"
	}
	return strconv.FormatFloat(us/1000, 'g', 4, 64) + " ms"
}
