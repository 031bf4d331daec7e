package top

import (
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"lb/admin/api"
)

// mode is what keys are for.
type mode int

const (
	looking   mode = iota
	filtering      // keys are the text of the filter
	asking         // a change waits for y
	helping        // the help is shown
)

// model is everything that the view shows. Update alone changes it.
type model struct {
	o      Options
	width  int
	height int

	samples
	fault   error // why the last status did not come
	faultAt time.Time

	choice
	mode     mode
	before   string // the filter before filtering began
	paused   bool
	loopRows bool // a line for each loop
	list     []row
	at       key // the row of the cursor
	first    int // the first row that is shown
	longest  int // columns of the longest name in list

	change change // that waits for y
	note   string // about the last change
	bad    bool   // it was refused
}

// change is a change of one backend.
type change struct {
	key
	action api.Action
}

// What arrives besides keys and sizes.
type (
	sampleMsg struct {
		status  api.Status
		history api.History
		err     error
		at      time.Time
	}
	tickMsg    struct{}
	changedMsg struct {
		change
		now api.Backend
		err error
	}
)

// Init asks for the first status.
func (m *model) Init() tea.Cmd { return m.ask }

// ask asks lb for a status.
func (m *model) ask() tea.Msg {
	st, err := m.o.Source.Status()
	at := time.Now() // of the counters
	past, historyErr := m.o.Source.History(1)
	if err == nil {
		err = historyErr
	}
	return sampleMsg{st, past, err, at}
}

// tick waits until the next status is due.
func (m *model) tick() tea.Cmd {
	return tea.Tick(m.o.Every, func(time.Time) tea.Msg { return tickMsg{} })
}

// Update takes what has happened. One status is asked for at a time.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case sampleMsg:
		m.sample(msg)
		return m, m.tick()
	case tickMsg:
		if m.paused {
			return m, m.tick()
		}
		return m, m.ask
	case changedMsg:
		m.note, m.bad = fmt.Sprintf("%s of pool %s: %s", msg.address, msg.pool, msg.now.Admin), false
		if msg.err != nil {
			m.note, m.bad = msg.err.Error(), true
		}
	case tea.PasteMsg:
		if m.mode == filtering {
			m.filter += msg.Content
			m.refresh()
		}
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// sample takes a status, or the reason why there is none.
func (m *model) sample(msg sampleMsg) {
	switch {
	case msg.err != nil:
		if m.fault == nil {
			m.faultAt = msg.at
		}
		m.fault = msg.err
	case !m.paused: // a pause may have begun after the question
		m.fault = nil
		m.take(msg.status, msg.history, msg.at)
		m.refresh()
	}
}

// refresh makes the rows again after a status or another choice. The cursor stays at its
// row, and goes to the one that is there instead if that row has gone.
func (m *model) refresh() {
	old := m.cursor()
	m.list = m.rows(m.choice, m.samples.at)
	if m.place(m.at) < 0 {
		m.move(old)
	}
	m.longest = 0
	for i := range m.list {
		m.longest = max(m.longest, lipgloss.Width(nameColumn.text(&m.list[i])))
	}
}

// place returns where the row of k is, or -1.
func (m *model) place(k key) int {
	return slices.IndexFunc(m.list, func(r row) bool { return r.key == k })
}

// cursor returns where the cursor is.
func (m *model) cursor() int { return max(m.place(m.at), 0) }

// move puts the cursor at row i, or the row next to it if there is none.
func (m *model) move(i int) {
	if len(m.list) > 0 {
		m.at = m.list[min(max(i, 0), len(m.list)-1)].key
	}
}

// press obeys a key.
func (m *model) press(k tea.KeyPressMsg) tea.Cmd {
	if k.String() == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case filtering:
		m.pressFilter(k)
		return nil
	case asking:
		return m.answer(k.String())
	case helping:
		m.mode = looking
		return nil
	}
	m.note = ""
	switch k.String() {
	case "q":
		return tea.Quit
	case "d":
		m.want(api.Drain)
	case "e":
		m.want(api.Enable)
	case "p", "space":
		m.paused = !m.paused
	case "l":
		m.loopRows = !m.loopRows
	case "?", "h":
		m.mode = helping
	default:
		m.pressMove(k.String())
	}
	return nil
}

// pressMove obeys a key that changes which rows are shown, in which order, or where the
// cursor is.
func (m *model) pressMove(k string) {
	switch k {
	case "up", "k":
		m.move(m.cursor() - 1)
	case "down", "j":
		m.move(m.cursor() + 1)
	case "pgup":
		m.move(m.cursor() - m.page())
	case "pgdown":
		m.move(m.cursor() + m.page())
	case "home", "g":
		m.move(0)
	case "end", "G":
		m.move(len(m.list) - 1)
	case "/":
		m.mode, m.before = filtering, m.filter
	case "esc":
		m.filter, m.unwell = "", false
	case "!":
		m.unwell = !m.unwell
	case "s":
		m.order = (m.order + 1) % orders
	case "S":
		m.order = (m.order + orders - 1) % orders
	case "r":
		m.reverse = !m.reverse
	default:
		return
	}
	m.refresh()
}

// pressFilter obeys a key while the filter is written.
func (m *model) pressFilter(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		m.mode = looking
	case "esc":
		m.mode, m.filter = looking, m.before
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	case "ctrl+u":
		m.filter = ""
	default:
		m.filter += k.Text
	}
	m.refresh()
}

// want asks whether the backend at the cursor is to be changed.
func (m *model) want(action api.Action) {
	i := m.place(m.at)
	switch {
	case i < 0:
		m.note, m.bad = "there is no backend to "+string(action), true
	case m.at.address == "":
		m.note, m.bad = "that is a pool; choose one of its backends", true
	default:
		m.mode, m.change = asking, change{m.at, action}
	}
}

// answer makes the change that waits, if k is y.
func (m *model) answer(k string) tea.Cmd {
	m.mode = looking
	if k != "y" && k != "Y" {
		m.note, m.bad = "nothing was changed", false
		return nil
	}
	c, source := m.change, m.o.Source
	m.note, m.bad = fmt.Sprintf("%s %s ...", c.action, c.address), false
	return func() tea.Msg {
		b, err := source.SetBackend(c.pool, c.address, c.action, 0)
		return changedMsg{c, b, err}
	}
}
