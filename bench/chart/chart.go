package chart

import (
	_ "embed"
	"html/template"
	"io"
)

// Chart is bars in panels, all on one scale.
type Chart struct {
	Title   string
	Notes   []string // lines below the title
	Heads   []string // of the columns of figures
	Scale   Scale
	Columns int // of panels
	Panels  []Panel
}

// Panel is a group of rows with a heading.
type Panel struct {
	Name  string
	About string // after the name; wrapped if it is long
	Rows  []Row
}

// Row is one bar with a whisker over it.
type Row struct {
	Name      string
	Tone      Tone
	Strong    bool     // text is bold
	From, To  float64  // the bar
	Low, High float64  // the whisker; none if both are 0
	Figures   []string // one for each of the heads
}

// Tone is the color of a bar. Readers need not tell tones apart, since every bar has
// its name beside it. Pale tones are for variants.
type Tone uint8

// The tones.
const (
	Gray Tone = iota
	Accent
	AccentPale
	Green
	GreenPale
	Blue
	BluePale
)

// Class returns the tone's class in the stylesheet.
func (t Tone) Class() string {
	return [...]string{"gray", "accent", "accent-pale", "green", "green-pale", "blue", "blue-pale"}[t]
}

//go:embed chart.svg
var source string

var page = template.Must(template.New("").Parse(source))

// WriteSVG writes the chart as SVG. A chart without panels is a title and notes.
func (c *Chart) WriteSVG(w io.Writer) error {
	return page.Execute(w, c.layout())
}
