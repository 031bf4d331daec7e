package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lb/bench/report"
)

// fullReport returns a report with every case and every proxy, and long figures.
func fullReport() *report.Report {
	r := &report.Report{}
	for i, s := range scenarios() {
		c := report.Case{Name: s.name, About: s.about}
		for j, name := range everybody {
			cpu := 111.1 * float64(1+i+j)
			p := report.Proxy{Name: name, Rounds: []report.Round{{User: cpu, System: cpu}, {User: cpu, System: 2 * cpu}}}
			for _, share := range []float64{0, .5, .99, .999} {
				p.Curve = append(p.Curve, report.Point{Share: share, Micros: (1 + 1000*share) * float64(1+i)})
			}
			c.Proxies = append(c.Proxies, p)
		}
		r.Cases = append(r.Cases, c)
	}
	return r
}

// svgText is a text of an SVG with what stands after it in the same line.
type svgText struct {
	X      float64 `xml:"x,attr"`
	Y      float64 `xml:"y,attr"`
	Size   float64 `xml:"font-size,attr"`
	Class  string  `xml:"class,attr"`
	Anchor string  `xml:"text-anchor,attr"`
	S      string  `xml:",chardata"`
	More   *struct {
		DX   float64 `xml:"dx,attr"`
		Size float64 `xml:"font-size,attr"`
		S    string  `xml:",chardata"`
	} `xml:"tspan"`
}

type svgRect struct {
	Class string  `xml:"class,attr"`
	X     float64 `xml:"x,attr"`
	Y     float64 `xml:"y,attr"`
	W     float64 `xml:"width,attr"`
	H     float64 `xml:"height,attr"`
}

type box struct {
	name                     string
	left, top, right, bottom float64
}

func (b box) overlaps(c box) bool {
	return b.left < c.right && c.left < b.right && b.top < c.bottom && c.top < b.bottom
}

// extent is at least the width of a text in DejaVu Sans, the widest usual font.
func extent(s string, size float64) float64 {
	width := 0.0
	for _, c := range s {
		switch {
		case strings.ContainsRune("mwMW%", c):
			width += .99
		case strings.ContainsRune("ijl.,:; ", c):
			width += .34
		case strings.ContainsRune("frt-", c):
			width += .42
		case c >= 'A' && c <= 'Z':
			width += .77
		default:
			width += .637
		}
	}
	return width * size
}

func (t *svgText) box() box {
	width := extent(t.S, t.Size)
	if t.Class == "strong" || t.Class == "title" {
		width *= 1.1
	}
	b := box{name: t.S, left: t.X, top: t.Y - .78*t.Size, bottom: t.Y + .22*t.Size}
	switch t.Anchor {
	case "end":
		b.left -= width
	case "middle":
		b.left -= width / 2
	}
	b.right = b.left + width
	if t.More != nil {
		b.right += t.More.DX + extent(t.More.S, t.More.Size)
	}
	return b
}

// boxesOf returns where the texts and the bars of an SVG are, and its page.
func boxesOf(t *testing.T, svg []byte) (texts, bars []box, page box) {
	t.Helper()
	var doc struct {
		Texts []svgText `xml:"text"`
		Rects []svgRect `xml:"rect"`
	}
	if err := xml.Unmarshal(svg, &doc); err != nil {
		t.Fatal(err)
	}
	for i := range doc.Texts {
		texts = append(texts, doc.Texts[i].box())
	}
	for _, r := range doc.Rects {
		b := box{"bar", r.X, r.Y, r.X + r.W, r.Y + r.H}
		if r.Class == "page" {
			page = b
		} else {
			bars = append(bars, b)
		}
	}
	return texts, bars, page
}

// No text overlaps another one or a bar, and none leaves the page, with all cases
// and all proxies and in a wide font.
func TestNothingOverlaps(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "full")
	if err := fullReport().Save(prefix); err != nil {
		t.Fatal(err)
	}
	plots, err := filepath.Glob(prefix + "-*.svg")
	if err != nil || len(plots) != 3 {
		t.Fatalf("plots %q, %v; want 3", plots, err)
	}
	for _, file := range plots {
		svg, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		texts, bars, page := boxesOf(t, svg)
		if len(texts) < 20 || len(bars) < 10 {
			t.Errorf("%s: %d texts and %d bars", name, len(texts), len(bars))
		}
		for i, b := range texts {
			if b.left < page.left || b.right > page.right || b.top < page.top || b.bottom > page.bottom {
				t.Errorf("%s: %q is not on the page: %+v", name, b.name, b)
			}
			for _, other := range append(texts[:i:i], bars...) {
				if b.overlaps(other) {
					t.Errorf("%s: %q overlaps %q: %+v, %+v", name, b.name, other.name, b, other)
				}
			}
		}
	}
}
