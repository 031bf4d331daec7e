package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"lb/cli/words"
)

// column is a column of the table.
type column struct {
	title string
	width int
	left  bool // aligned to the left
	order order
	text  func(r *row) string
}

// gap is how many blanks stand between two columns.
const gap = 2

// The widths of the columns that share what room is left.
const (
	nameMin, nameMax = 14, 48
	nameWhole        = 28 // enough for most names
	stateMin         = 10
	stateWhole       = 28 // enough for most states in words
	stateMax         = 60
)

var nameColumn = column{title: "POOL / BACKEND", width: nameMin, left: true, order: byName, text: func(r *row) string {
	if r.backend == nil {
		return r.pool
	}
	return "  " + r.address
}}

var stateColumn = column{title: "STATE", width: stateMin, left: true, order: byState}

// optional are the columns between the name and the state, most important first.
var optional = []column{
	{title: "RATE", width: 7, order: byRate, text: func(r *row) string { return perSecond(r.known, r.rate) }},
	{title: "ERR/S", width: 6, order: byErrors, text: func(r *row) string { return perSecond(r.known, r.errors) }},
	{title: "P99", width: 7, order: byP99, text: func(r *row) string { return latency(r.p99) }},
	{title: "ACTIVE", width: 7, order: byActive, text: (*row).active},
	{title: "P50", width: 7, order: byConfig, text: func(r *row) string { return latency(r.p50) }},
	{title: "TTFB", width: 7, order: byConfig, text: func(r *row) string { return latency(r.ttfb) }},
	{title: "WEIGHT", width: 6, order: byConfig, text: (*row).weight},
	{title: "REQUESTS", width: 13, order: byConfig, text: func(r *row) string { return words.Grouped(r.requests) }},
	{title: "TREND", width: trendLen, left: true, order: byConfig, text: func(r *row) string { return sparkline(r.trend) }},
}

// shown is how the columns stand in the table, as indexes of optional.
var shown = []int{8, 0, 1, 4, 2, 5, 3, 6, 7}

const (
	needed = 3 // the first of optional that is less important than whole names
	luxury = 6 // the first that is less important than states in words
)

// columns returns the columns that fit into width. Name and state share what is left,
// names first: longest is the longest of them.
func columns(width, longest int) []column {
	name, state := nameColumn, stateColumn
	left := width - name.width - gap - state.width
	fits := 0
	for fits < len(optional) {
		room := optional[fits].width + gap
		if fits >= needed {
			room += min(max(longest, nameMin), nameWhole) - nameMin
		}
		if fits >= luxury {
			room += stateWhole - stateMin
		}
		if left < room {
			break
		}
		left -= optional[fits].width + gap
		fits++
	}
	more := min(left, max(longest-name.width, 0), nameMax-nameMin)
	name.width += more
	state.width = min(state.width+left-more, stateMax)
	out := []column{name}
	for _, i := range shown {
		if i < fits {
			out = append(out, optional[i])
		}
	}
	return append(out, state)
}

// active returns the active requests, and how many there may be.
func (r *row) active() string {
	if r.backend == nil || r.backend.MaxConnections == 0 {
		return words.Grouped(r.inFlight)
	}
	return fmt.Sprintf("%d/%d", r.inFlight, r.backend.MaxConnections)
}

func (r *row) weight() string {
	if r.backend == nil {
		return ""
	}
	if r.backend.Weight != r.backend.ConfiguredWeight {
		return strconv.Itoa(r.backend.Weight) + "*"
	}
	return strconv.Itoa(r.backend.Weight)
}

// cell returns the text of a column in a row, which has the width of the column.
func (c *column) cell(r *row) string {
	text := ""
	switch {
	case c.text != nil:
		text = c.text(r)
	case lipgloss.Width(r.state) <= c.width:
		text = r.state
	default:
		text = r.word
		if c.width > stateMin+6 {
			text = cut(r.state, c.width)
		}
	}
	return c.fit(text)
}

// fit returns s in exactly the width of the column.
func (c *column) fit(s string) string {
	s = middle(s, c.width)
	blanks := strings.Repeat(" ", c.width-lipgloss.Width(s))
	if c.left {
		return s + blanks
	}
	return blanks + s
}

// middle returns s in at most n columns, without its middle if it is longer.
func middle(s string, n int) string {
	for keep := n; lipgloss.Width(s) > n; keep-- {
		if keep < 3 {
			return strings.Repeat("…", min(n, 1))
		}
		if short := words.Short(s, keep); lipgloss.Width(short) <= n {
			return short
		}
	}
	return s
}

// cut returns s in at most n columns, without its end if it is longer.
func cut(s string, n int) string {
	if lipgloss.Width(s) <= n {
		return s
	}
	r := []rune(s)
	for len(r) > 0 && lipgloss.Width(string(r)) > n-1 {
		r = r[:len(r)-1]
	}
	return string(r) + strings.Repeat("…", min(n, 1))
}

// perSecond writes a rate, and "-" for one that is not known.
func perSecond(known bool, rate float64) string {
	switch {
	case !known:
		return "-"
	case rate == 0:
		return "0"
	case rate < 9.95:
		return strconv.FormatFloat(rate, 'f', 1, 64)
	case rate < 1e6:
		return words.Grouped(uint64(rate + 0.5))
	}
	return strconv.FormatFloat(rate/1e6, 'f', 2, 64) + "M"
}

// latency writes a time, and "-" for 0: nothing was measured.
func latency(d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return words.Span(d.Microseconds())
}

// sparkline draws rates, the highest of which fills the line.
func sparkline(rates []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	high := 0.0
	for _, r := range rates {
		high = max(high, r)
	}
	var b strings.Builder
	for range trendLen - len(rates) {
		b.WriteByte(' ')
	}
	for _, r := range rates {
		i := 0
		if high > 0 {
			i = int(r / high * 7)
		}
		b.WriteString(bars[i*3 : i*3+3])
	}
	return b.String()
}
