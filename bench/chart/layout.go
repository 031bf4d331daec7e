package chart

import (
	"fmt"
	"math"
)

// Measures in pixels.
const (
	pageWidth  = 860
	margin     = 20
	columnGap  = 30
	cellGap    = 10 // between names, bars and figures
	panelGap   = 12
	rowHeight  = 16
	barHeight  = 10
	lineHeight = 18
	capHeight  = 6 // of a whisker
	titleSize  = 16
	noteSize   = 12
	panelSize  = 12.5
	smallSize  = 11
	baseline   = 4 // from the middle of a line down to where its text stands
	labelGap   = 6 // between labels of the scale
	far        = 600
	inner      = pageWidth - 2*margin
)

// scene is all elements with their places, as the template writes them.
type scene struct {
	Width, Height float64
	Title         string
	Texts         []text
	Lines         []line
	Bars          []bar
	Whiskers      []string
}

type text struct {
	X, Y, Size       float64
	Class, Anchor, S string
	More             string // muted, after S
}

type line struct {
	X1, Y1, X2, Y2 float64
	Class          string
}

type bar struct {
	X, Y, W, H float64
	Class      string
}

// frame is where the parts of a column are.
type frame struct {
	left, right float64   // of the column
	from, to    float64   // of the bars
	figures     []float64 // right edges
	top         float64   // of the first panel
	chart       *Chart
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

func (s *scene) write(x, y, size float64, class, anchor, str string) {
	if str != "" {
		s.Texts = append(s.Texts, text{round(x), round(y), size, class, anchor, str, ""})
	}
}

// layout places all elements.
func (c *Chart) layout() *scene {
	s := &scene{Width: pageWidth, Title: c.Title}
	y := float64(margin)
	for _, l := range wrap(c.Title, titleSize*boldFactor, inner, inner) {
		s.write(margin, y+titleSize-3, titleSize, "title", "", l)
		y += titleSize + 6
	}
	for _, n := range c.Notes {
		for _, l := range wrap(n, noteSize, inner, inner) {
			s.write(margin, y+lineHeight/2+baseline, noteSize, "muted", "", l)
			y += lineHeight
		}
	}
	bottom := y
	for i, panels := range c.split() {
		f := c.frame(i)
		f.top = y + 2*lineHeight
		bottom = max(bottom, s.column(f, panels))
	}
	s.Height = math.Ceil(bottom + margin)
	return s
}

// frame returns the frame of a column. Frames differ only in their place.
func (c *Chart) frame(column int) *frame {
	n := float64(max(c.Columns, 1))
	width := (inner - (n-1)*columnGap) / n
	f := &frame{chart: c}
	f.left = margin + float64(column)*(width+columnGap)
	f.right = f.left + width
	names, figures := c.widths()
	f.from, f.to = f.left+names+cellGap, f.right
	f.figures = make([]float64, len(figures))
	for i := len(figures) - 1; i >= 0; i-- {
		f.figures[i] = f.to
		f.to -= figures[i] + cellGap
	}
	if t := c.Scale.Ticks; len(t) > 0 { // the last label stands half beyond the bars
		f.to -= textWidth(t[len(t)-1].Label, smallSize) / 2
	}
	return f
}

// widths returns the widths of the columns of names and of figures.
func (c *Chart) widths() (names float64, figures []float64) {
	for _, h := range c.Heads {
		figures = append(figures, textWidth(h, smallSize))
	}
	for _, p := range c.Panels {
		for _, r := range p.Rows {
			measure := textWidth
			if r.Strong {
				measure = boldWidth
			}
			names = max(names, measure(r.Name, smallSize))
			for i, v := range r.Figures {
				figures[i] = max(figures[i], measure(v, smallSize))
			}
		}
	}
	return names, figures
}

// split divides the panels into columns of about one height.
func (c *Chart) split() [][]Panel {
	columns := make([][]Panel, max(c.Columns, 1))
	f := c.frame(0)
	total := 0.0
	for _, p := range c.Panels {
		total += f.height(p)
	}
	done := 0.0
	for _, p := range c.Panels {
		h := f.height(p)
		i := int((done + h/2) / total * float64(len(columns)))
		columns[i] = append(columns[i], p)
		done += h
	}
	return columns
}

// about returns the lines of a panel's description, the first of them beside its
// name.
func (f *frame) about(p Panel) []string {
	name := boldWidth(p.Name, panelSize) + cellGap
	return wrap(p.About, smallSize, f.right-f.left-name, f.right-f.left)
}

func (f *frame) height(p Panel) float64 {
	return float64(len(f.about(p))*lineHeight + len(p.Rows)*rowHeight + panelGap)
}

// x returns where a value is.
func (f *frame) x(v float64) float64 {
	return round(f.from + f.chart.Scale.share(v)*(f.to-f.from))
}

// column draws panels, one below the other, and returns where they end. The scale
// stands above them, and below again if that is far.
func (s *scene) column(f *frame, panels []Panel) (bottom float64) {
	if len(panels) == 0 {
		return f.top
	}
	s.axis(f, f.top-lineHeight/2)
	y := f.top
	for _, p := range panels {
		s.panel(f, p, y)
		y += f.height(p)
	}
	if y-f.top < far {
		return y - panelGap
	}
	s.axis(f, y+lineHeight/2-panelGap+baseline)
	return y - panelGap + lineHeight
}

// axis writes the labels of the scale, as far as they do not overlap, and the heads
// of the figures. Marks have precedence.
func (s *scene) axis(f *frame, y float64) {
	var taken [][2]float64
	label := func(t Tick) {
		x, half := f.x(t.At), textWidth(t.Label, smallSize)/2
		for _, other := range taken {
			if x-half < other[1]+labelGap && x+half > other[0]-labelGap {
				return
			}
		}
		taken = append(taken, [2]float64{x - half, x + half})
		s.write(x, y, smallSize, "muted", "middle", t.Label)
	}
	for _, marks := range []bool{true, false} {
		for _, t := range f.chart.Scale.Ticks {
			if t.Mark == marks {
				label(t)
			}
		}
	}
	for i, h := range f.chart.Heads {
		s.write(f.figures[i], y, smallSize, "muted", "end", h)
	}
}

// panel draws a panel with its top at y: the heading, the grid, the rows.
func (s *scene) panel(f *frame, p Panel, y float64) {
	for i, l := range f.about(p) {
		t := text{X: f.left, Y: y + lineHeight/2 + baseline, Size: smallSize, Class: "muted", S: l}
		if i == 0 {
			t.Size, t.Class, t.S, t.More = panelSize, "strong", p.Name, l
		}
		s.Texts = append(s.Texts, t)
		y += lineHeight
	}
	for _, t := range f.chart.Scale.Ticks {
		class := "grid"
		if t.Mark {
			class = "mark"
		}
		s.Lines = append(s.Lines, line{f.x(t.At), y, f.x(t.At), y + float64(len(p.Rows)*rowHeight), class})
	}
	for i := range p.Rows {
		s.row(f, &p.Rows[i], y+rowHeight/2)
		y += rowHeight
	}
}

// row draws a row with its middle at y.
func (s *scene) row(f *frame, r *Row, y float64) {
	class := ""
	if r.Strong {
		class = "strong"
	}
	s.write(f.from-cellGap, y+baseline, smallSize, class, "end", r.Name)
	from, to := f.x(r.From), f.x(r.To)
	s.Bars = append(s.Bars, bar{from, y - barHeight/2, round(to - from), barHeight, r.Tone.Class()})
	if r.Low != 0 || r.High != 0 {
		s.whisker(f.x(r.Low), f.x(r.High), y, to)
	}
	for i, v := range r.Figures {
		s.write(f.figures[i], y+baseline, smallSize, class, "end", v)
	}
}

// whisker draws a line at y with caps, except at the end of the bar.
func (s *scene) whisker(low, high, y, end float64) {
	path := fmt.Sprintf("M%v %vH%v", low, y, high)
	for _, x := range []float64{low, high} {
		if x != end {
			path += fmt.Sprintf("M%v %vv%v", x, y-capHeight/2, capHeight)
		}
	}
	s.Whiskers = append(s.Whiskers, path)
}
