package main

import (
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sizes of a plot: panels in rows, one panel for each case.
const (
	panelWidth  = 10 * vg.Centimeter
	panelHeight = 6.5 * vg.Centimeter
	columnsMax  = 3
	margin      = 4 * vg.Millimeter
	gap         = 7 * vg.Millimeter
)

// colors tell the targets apart, also for those who see fewer (Okabe and Ito).
var colors = map[string]color.RGBA{
	"direct": {0x99, 0x99, 0x99, 0xff}, "relay": {0x33, 0x33, 0x33, 0xff},
	"lb-mp": {0xd5, 0x5e, 0x00, 0xff}, "lb-mt": {0xe6, 0x9f, 0x00, 0xff},
	"before-mp": {0xcc, 0x79, 0xa7, 0xff}, "before-mt": {0xf0, 0xc0, 0xe0, 0xff},
	"nginx": {0x00, 0x9e, 0x73, 0xff}, "haproxy": {0x00, 0x72, 0xb2, 0xff},
	"nginx-big": {0x66, 0xc2, 0xa5, 0xff}, "haproxy-big": {0x56, 0xb4, 0xe9, 0xff},
}

// plotCost draws CPU time per request: a bar for each proxy, its lower part
// the time in user space.
func (r *Report) plotCost(w io.Writer, format string) error {
	var panels []*plot.Plot
	for i := range r.Cases {
		if c := &r.Cases[i]; !c.isIdle() {
			p, err := c.costPanel()
			if err != nil {
				return err
			}
			panels = append(panels, p)
		}
	}
	return drawPanels(w, format, panels)
}

func (c *Case) costPanel() (*plot.Plot, error) {
	p := panel(c.Name)
	p.Y.Label.Text = "CPU us/request, dark: user"
	p.Y.Min = 0
	var names []string
	tops := plotter.XYLabels{}
	for i := range c.Proxies {
		proxy := &c.Proxies[i]
		if proxy.Name == "direct" {
			continue
		}
		cpu := of(proxy.Rounds, cpuOf).median // which is not that of user and that of system together
		user := cpu * of(proxy.Rounds, userShareOf).median
		at := len(names)
		lower, err := bar(at, user, colors[proxy.Name])
		if err != nil {
			return nil, err
		}
		upper, err := bar(at, cpu-user, pale(colors[proxy.Name]))
		if err != nil {
			return nil, err
		}
		upper.StackOn(lower)
		p.Add(lower, upper)
		names = append(names, shortTitle(proxy.Name))
		tops.XYs = append(tops.XYs, plotter.XY{X: float64(at), Y: cpu})
		tops.Labels = append(tops.Labels, number(cpu))
	}
	if len(names) == 0 {
		return p, nil
	}
	labels, err := plotter.NewLabels(tops)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].XAlign = draw.XCenter
		labels.TextStyle[i].Font = font.From(plot.DefaultFont, 8)
	}
	labels.Offset.Y = 2
	p.Add(labels)
	p.NominalX(names...)
	p.X.Min, p.X.Max = -.6, float64(len(names))-.4
	p.X.Tick.Label.Font.Size = 7
	p.Y.Max *= 1.12 // room for the numbers
	return p, nil
}

func bar(at int, height float64, c color.Color) (*plotter.BarChart, error) {
	b, err := plotter.NewBarChart(plotter.Values{height}, .75*vg.Centimeter)
	if err != nil {
		return nil, err
	}
	b.XMin, b.Color, b.LineStyle.Width = float64(at), c, 0
	return b, nil
}

// pale mixes c with white.
func pale(c color.RGBA) color.RGBA {
	mix := func(x uint8) uint8 { return uint8((int(x) + 255) / 2) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), c.A}
}

// plotLatency draws, for each case, which share of the answers took at most
// how long. The axis of shares is that of HdrHistogram: as far from 99 % to
// 99.9 % as from 90 % to 99 %.
func (r *Report) plotLatency(w io.Writer, format string) error {
	var panels []*plot.Plot
	for i := range r.Cases {
		if c := &r.Cases[i]; c.hasCurve() {
			p, err := c.latencyPanel()
			if err != nil {
				return err
			}
			panels = append(panels, p)
		}
	}
	return drawPanels(w, format, panels)
}

func (c *Case) hasCurve() bool {
	return slices.ContainsFunc(c.Proxies, func(p Proxy) bool { return len(p.Curve) > 0 })
}

func (c *Case) latencyPanel() (*plot.Plot, error) {
	p := panel(c.Name)
	p.Y.Label.Text = "latency"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, durations{}
	p.X.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 1, Label: "90 %"}, {Value: 2, Label: "99 %"},
		{Value: 3, Label: "99.9 %"}, {Value: 4, Label: "99.99 %"}}
	p.Add(plotter.NewGrid())
	for i := range c.Proxies {
		proxy := &c.Proxies[i]
		var points plotter.XYs
		for _, q := range proxy.Curve {
			if q.Micros > 0 && q.Share < 1 {
				points = append(points, plotter.XY{X: -math.Log10(1 - q.Share), Y: q.Micros})
			}
		}
		if len(points) == 0 {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = colors[proxy.Name], 1.5
		if proxy.Name == "direct" || proxy.Name == "relay" {
			line.Dashes = []vg.Length{3, 2}
		}
		p.Add(line)
		p.Legend.Add(strings.ReplaceAll(shortTitle(proxy.Name), "\n", " "), line)
	}
	p.Legend.TextStyle.Font.Size = 7.5
	p.Legend.ThumbnailWidth = .5 * vg.Centimeter
	p.Legend.Top = true
	p.X.Min, p.X.Max = 0, 6.2 // the legend stands right of the lines
	return p, nil
}

// durations are ticks at 1, 2 and 5 of each decade of microseconds.
type durations struct{}

// Ticks implements plot.Ticker.
func (durations) Ticks(lowest, highest float64) []plot.Tick {
	if !(lowest > 0) {
		return nil
	}
	var ticks []plot.Tick
	for decade := math.Pow10(int(math.Floor(math.Log10(lowest)))); decade <= highest; decade *= 10 {
		for _, n := range []float64{1, 2, 5} {
			v := n * decade
			label := strconv.FormatFloat(v, 'g', 4, 64) + " us"
			if v >= 1000 {
				label = strconv.FormatFloat(v/1000, 'g', 4, 64) + " ms"
			}
			ticks = append(ticks, plot.Tick{Value: v, Label: label})
		}
	}
	return ticks
}

// panel returns an empty one.
func panel(name string) *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = name
	p.Title.TextStyle.Font.Size = 11
	p.Title.Padding = 2 * vg.Millimeter
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = 8, 8
	p.Y.Label.TextStyle.Font.Size = 8
	return p
}

// shortTitle is the title as there is room for it below a bar.
func shortTitle(name string) string {
	t := strings.TrimPrefix(strings.Trim(title(name), "*"), "byte ")
	if _, big := strings.CutSuffix(name, bigBuffers); big {
		t = strings.ReplaceAll(strings.TrimSuffix(t, " buffers"), ", ", "\n")
	}
	return t
}

// drawPanels writes panels in rows, as an image of that format.
func drawPanels(w io.Writer, format string, panels []*plot.Plot) error {
	columns := max(1, min(columnsMax, len(panels)))
	rows := max(1, (len(panels)+columns-1)/columns)
	width := vg.Length(columns)*(panelWidth+gap) - gap + 2*margin
	height := vg.Length(rows)*(panelHeight+gap) - gap + 2*margin
	canvas, err := draw.NewFormattedCanvas(width, height, format)
	if err != nil {
		return err
	}
	dc := draw.New(canvas)
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	tiles := draw.Tiles{Cols: columns, Rows: rows, PadX: gap, PadY: gap,
		PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin}
	for i, p := range panels {
		p.Draw(tiles.At(dc, i%columns, i/columns))
	}
	_, err = canvas.WriteTo(w)
	return err
}
