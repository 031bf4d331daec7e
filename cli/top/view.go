package top

import (
	"cmp"
	"fmt"
	"image/color"
	"regexp"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"lb/admin/api"
	"lb/cli/words"
)

// The smallest screen on which there is something to see.
const (
	widthMin  = nameMin + gap + stateMin
	heightMin = 4
)

// onceWidth is how wide the output of Once is, in columns: every column has room.
const onceWidth = 200

var (
	bold   = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	turned = lipgloss.NewStyle().Reverse(true)
	tints  = map[words.Tint]color.Color{words.Red: lipgloss.Red, words.Green: lipgloss.Green, words.Yellow: lipgloss.Yellow}
)

// colours are what the styles add to a text.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// dye returns s in the colour of a tint.
func dye(s string, t words.Tint) string {
	if t == words.Plain {
		return s
	}
	return lipgloss.NewStyle().Foreground(tints[t]).Render(s)
}

// View returns the whole screen. Only rows that are visible are put together.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "lb top"
	return v
}

// screen returns the lines of the screen, each of which fits into it.
func (m *model) screen() []string {
	switch {
	case m.width == 0 || m.height == 0:
		return nil // the size is not known yet
	case m.width < widthMin || m.height < heightMin:
		return []string{cut("too small", m.width)}
	case m.mode == helping:
		return m.clip(help)
	}
	lines := m.head()
	lines = append(lines, m.table(m.page())...)
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines[:m.height-1], m.foot())
}

// clip returns lines as far as the screen is high and wide. They have no colours.
func (m *model) clip(lines []string) []string {
	out := make([]string, min(len(lines), m.height))
	for i := range out {
		out[i] = cut(lines[i], m.width)
	}
	return out
}

// page returns how many rows of the table fit below the head.
func (m *model) page() int { return max(m.height-len(m.head())-2, 1) }

// plainLines returns all lines without colours and keys, as Once writes them.
func (m *model) plainLines() []string {
	lines := append(m.head(), m.table(len(m.list))...)
	for i, line := range lines {
		lines[i] = strings.TrimRight(colours.ReplaceAllString(line, ""), " ")
	}
	return lines
}

// head returns what stands above the table: lb as a whole, what is not well with it, and
// its loops.
func (m *model) head() []string {
	if m.number == 0 {
		if m.fault != nil {
			return []string{dye(cut(m.fault.Error(), m.width), words.Red)}
		}
		return []string{"waiting for lb"}
	}
	st := &m.status
	title := fmt.Sprintf("lb %s on %s, mode %s, for %s", st.State, cmp.Or(st.Listeners.String(), st.Address), st.Mode, words.Age(st.Started, m.samples.at))
	if m.paused {
		title = "PAUSED  " + title
	}
	lines := []string{bold.Render(cut(title, m.width)), cut(m.sums(), m.width)}
	if m.fault != nil {
		lines = append(lines, dye(cut(fmt.Sprintf("NO ANSWER since %s: %v", m.faultAt.Format(time.TimeOnly), m.fault), m.width), words.Red))
	}
	if c := st.Config; c.Fault != "" {
		first, _, _ := strings.Cut(c.Fault, "\n")
		lines = append(lines, dye(cut(fmt.Sprintf("LAST RELOAD REFUSED %s ago: %s", words.Age(c.FaultAt, m.samples.at), first), m.width), words.Red))
	}
	if st.UpgradeFault != "" {
		lines = append(lines, dye(cut(fmt.Sprintf("LAST UPGRADE FAILED %s ago: %s", words.Age(st.UpgradeFaultAt, m.samples.at), st.UpgradeFault), m.width), words.Red))
	}
	for _, text := range st.Troubles {
		lines = append(lines, dye(cut(text, m.width), words.Red))
	}
	lines = append(lines, m.loopLines()...)
	return append(lines, "")
}

// sums returns a line about lb as a whole, most important first: a narrow screen cuts it.
func (m *model) sums() string {
	t, w := &m.status.Totals, &m.whole
	s := fmt.Sprintf("%s requests/s, %s 5xx/s, %s active", perSecond(w.known, w.rate), perSecond(w.known, w.errors), words.Grouped(t.Exchanges))
	if w.p99 > 0 {
		s += fmt.Sprintf(", p50 %s, p99 %s", latency(w.p50), latency(w.p99))
	}
	return s + fmt.Sprintf(", connections %s of clients, %s to backends, %s retried so far",
		words.Grouped(t.ClientConns), words.Grouped(t.BackendConns), words.Grouped(t.Retries))
}

// loopLines returns one line for all loops, or one for each.
func (m *model) loopLines() []string {
	if !m.loopRows {
		s := "loops"
		for _, l := range m.status.Loops {
			f := of(m.loops, l.Slot)
			s += fmt.Sprintf("  %d: %s/s", l.Slot, perSecond(f.known, f.rate))
			if l.State != api.LoopServing {
				s += " " + l.State
			}
		}
		return []string{cut(s, m.width)}
	}
	lines := make([]string, 0, len(m.status.Loops))
	for _, l := range m.status.Loops {
		f := of(m.loops, l.Slot)
		line := cut(fmt.Sprintf("loop %-3d %7s/s  %6s active  %7s connections  process %d, %s for %s, restarts %d", l.Slot, perSecond(f.known, f.rate),
			words.Grouped(l.Exchanges), words.Grouped(l.Conns), l.PID, l.State, words.Age(l.Since, m.samples.at), l.Restarts), m.width)
		if l.State == api.LoopWaiting {
			line = dye(line, words.Red)
		}
		lines = append(lines, line)
	}
	return lines
}

// table returns the titles and as many rows as fit, among them that of the cursor.
func (m *model) table(fit int) []string {
	if m.number == 0 {
		return nil
	}
	all := columns(m.width, m.longest)
	lines := []string{m.titles(all)}
	if len(m.list) == 0 {
		return append(lines, cut("no backend is like that; esc shows all", m.width))
	}
	cursor := m.cursor()
	m.first = min(m.first, cursor, max(len(m.list)-fit, 0))
	m.first = max(m.first, cursor-fit+1)
	for i := m.first; i < min(m.first+fit, len(m.list)); i++ {
		lines = append(lines, m.line(&m.list[i], all))
	}
	return lines
}

// titles returns the head of the table, in which the order is marked.
func (m *model) titles(all []column) string {
	texts := make([]string, len(all))
	for i := range all {
		c := &all[i]
		title := c.title
		if m.order != byConfig && c.order == m.order {
			title = map[bool]string{false: "▼", true: "▲"}[m.reverse] + title
		}
		if lipgloss.Width(title) > c.width {
			title = cut(title, c.width)
		}
		texts[i] = c.fit(title)
	}
	return faint.Render(strings.Join(texts, strings.Repeat(" ", gap)))
}

// line returns one row of the table.
func (m *model) line(r *row, all []column) string {
	texts := make([]string, len(all))
	here := r.key == m.at
	for i := range all {
		text := all[i].cell(r)
		switch {
		case here:
		case i == len(all)-1:
			text = dye(text, r.tint)
		case all[i].order == byErrors && r.errors > 0:
			text = dye(text, words.Red)
		case r.backend == nil && i == 0:
			text = bold.Render(text)
		}
		texts[i] = text
	}
	line := strings.Join(texts, strings.Repeat(" ", gap))
	if here {
		return turned.Render(line)
	}
	return line
}

// foot returns the last line: what is asked, what has come of it, or which keys there are.
func (m *model) foot() string {
	switch {
	case m.mode == asking:
		return turned.Render(cut(fmt.Sprintf("%s %s of pool %s? y: yes, any other key: no", m.change.action, m.change.address, m.change.pool), m.width))
	case m.mode == filtering:
		return cut("filter: "+m.filter+"_   enter: keep, esc: as before", m.width)
	case m.note != "" && m.bad:
		return dye(cut(m.note, m.width), words.Red)
	case m.note != "":
		return cut(m.note, m.width)
	}
	s := "q quit  ? help  s sort  / filter  d drain  e enable  p pause"
	if m.order != byConfig || m.reverse {
		s = "by " + orderNames[m.order] + map[bool]string{true: ", reversed"}[m.reverse] + "  " + s
	}
	if m.unwell {
		s = "only what is not well  " + s
	}
	if m.filter != "" {
		s = "filter: " + m.filter + "  " + s
	}
	return faint.Render(cut(s, m.width))
}

// help is what ? shows.
var help = []string{
	"up, down, j, k    one row up or down; also page up, page down, home, end",
	"s, S              sort by the next order, the one before; r reverses it:",
	"                  configuration, rate, errors, p99, active, state, name",
	"/                 show only what has a text in pool, address or state",
	"!                 show only backends that are not well",
	"esc               show all again",
	"d                 drain the backend: no new clients (asks first)",
	"e                 enable it: as the configuration says (asks first)",
	"l                 a line for each loop, or one for all",
	"p, space          pause, and go on",
	"q                 quit",
	"",
	"RATE are attempts in a second, ERR/S those that failed by the",
	"backend's fault. P50 and P99 are of the total time; backends have",
	"them with metrics.per_backend = true. TTFB is the time to the first",
	"byte, a moving average. A star marks what was changed at run time.",
	"",
	"any key goes back",
}
