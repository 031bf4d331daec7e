package chart

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file again")

func example() *Chart {
	return &Chart{
		Title: "Title <of> it", Notes: []string{"A note."}, Heads: []string{"share", "us"}, Columns: 2,
		Scale: Scale{Max: 1.5, Ticks: []Tick{{At: 0, Label: "0 %"}, {At: .5, Label: "50 %"}, {At: 1, Label: "100 %", Mark: true}}},
		Panels: []Panel{
			{Name: "first", About: strings.Repeat("many words ", 9), Rows: []Row{
				{Name: "we", Tone: Accent, Strong: true, To: .8, Low: .7, High: 1.1, Figures: []string{"80 %", "12.3"}},
				{Name: "they", Tone: BluePale, To: 1, Figures: []string{"100 %", "15.4"}},
			}},
			{Name: "second", Rows: []Row{{Name: "we", Tone: Accent, From: .5, To: 1, Low: 1, High: 9, Figures: []string{"", ""}}}},
		},
	}
}

func TestGolden(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/chart.svg"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is not what it was; got\n%s", file, &b)
	}
}

// A chart without panels, columns or a scale is a title on a page.
func TestEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := (&Chart{Title: "nothing"}).WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(b.Bytes(), new(struct{})); err != nil || strings.Contains(b.String(), "NaN") {
		t.Errorf("%v:\n%s", err, &b)
	}
}

// Every tone has a color, for light and for dark.
func TestTones(t *testing.T) {
	for tone := Gray; tone <= BluePale; tone++ {
		if n := strings.Count(source, "\n."+tone.Class()+" { fill: #"); n != 2 {
			t.Errorf("%s: %d colors, want 2", tone.Class(), n)
		}
	}
}

func TestShare(t *testing.T) {
	linear, log := Scale{Max: 200}, Scale{Min: 10, Max: 1000, Log: true}
	for _, tc := range []struct {
		s       Scale
		v, want float64
	}{{linear, 50, .25}, {linear, -1, 0}, {linear, 300, 1}, {log, 100, .5}, {log, 0, 0}, {Scale{}, 1, 0}} {
		if got := tc.s.share(tc.v); got < tc.want-1e-9 || got > tc.want+1e-9 {
			t.Errorf("%v of %+v: %v, want %v", tc.v, tc.s, got, tc.want)
		}
	}
}

func TestWrap(t *testing.T) {
	width := textWidth("nnn nnn", 10)
	for _, tc := range []struct {
		text  string
		first float64
		want  []string
	}{
		{"", width, []string{""}},
		{"nnn nnn", width, []string{"nnn nnn"}},
		{"nnn nnn nnn", width, []string{"nnn nnn", "nnn"}},
		{"nnn nnn nnn", width / 2, []string{"nnn", "nnn nnn"}},
		{"nnnnnnnnn n", width, []string{"", "nnnnnnnnn", "n"}},
	} {
		if got := wrap(tc.text, 10, tc.first, width); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.text, got, tc.want)
		}
	}
}
