package cli

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lb/cli/words"
)

// page is where a person reads output: how wide it is, and whether it has colours.
type page struct {
	w      io.Writer
	width  int // in columns; 0: lines may be as long as they are
	colour bool
}

// paper are the flags of commands that print a page.
type paper struct {
	Color string `enum:"auto,always,never" default:"auto" placeholder:"WHEN" help:"Colours: auto (on a terminal, unless NO_COLOR is set), always or never. Default: auto."`
}

// page returns the page that w is.
func (p *paper) page(w io.Writer) page {
	width := widthOf(w)
	colour := p.Color == "always" || p.Color != "never" && width > 0 && os.Getenv("NO_COLOR") == ""
	return page{w, width, colour}
}

// widthOf returns how wide the terminal w is, or 0 if w is none.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// tint is a colour of ANSI terminals.
type tint = words.Tint

const plain, red, green, yellow = words.Plain, words.Red, words.Green, words.Yellow

// dye returns s in a colour, if the page has any.
func (p page) dye(s string, c tint) string {
	if !p.colour || c == plain || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// below is what words begin with that stand below their head.
const below = "   "

// line writes words, which begin after head, in as many lines as the width asks for. Words
// stay whole. Only head may have colours. Words begin below a head that takes more than half
// of the width.
func (p page) line(head, words string) { p.lineIn(head, words, plain) }

// lineIn is line with words of a colour.
func (p page) lineIn(head, words string, c tint) {
	indent := utf8.RuneCountInString(head)
	if p.width > 0 && indent > p.width/2 {
		io.WriteString(p.w, strings.TrimRight(head, " ")+"\n")
		head, indent = below, len(below)
	}
	for {
		cut := len(words)
		if p.width > 0 {
			cut = breakAt(words, p.width-indent)
		}
		io.WriteString(p.w, head+p.dye(words[:cut], c)+"\n")
		if words = strings.TrimLeft(words[cut:], " "); words == "" {
			return
		}
		head = strings.Repeat(" ", indent)
	}
}

// breakAt returns how many bytes of s fit into so many columns, up to a blank if there is
// one; a word that is longer has a line of its own.
func breakAt(s string, columns int) int {
	column, blank := 0, 0
	for i, r := range s {
		if r == ' ' {
			blank = i
		}
		if column++; column > columns && blank > 0 {
			return blank
		}
	}
	return len(s)
}

// cell is the text of a table, and its colour.
type cell struct {
	text string
	tint
}

// table writes rows in columns two blanks apart. The first row has the titles. If they do
// not fit into the width, the texts of the columns in squeeze are cut in the middle.
func (p page) table(rows [][]cell, squeeze ...int) {
	const gap, least = 2, 12
	wide := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			wide[i] = max(wide[i], utf8.RuneCountInString(c.text))
		}
	}
	total := gap * (len(wide) - 1)
	for _, n := range wide {
		total += n
	}
	for _, i := range squeeze {
		if over := total - p.width; p.width > 0 && over > 0 && wide[i] > least {
			cut := min(over, wide[i]-least)
			wide[i] -= cut
			total -= cut
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			text := short(c.text, wide[i])
			b.WriteString(p.dye(text, c.tint))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", wide[i]-utf8.RuneCountInString(text)+gap))
			}
		}
		io.WriteString(p.w, strings.TrimRight(b.String(), " ")+"\n")
	}
}

// fits reports whether rows fit into the width as they are.
func (p page) fits(rows [][]cell) bool {
	if p.width == 0 {
		return true
	}
	total := 2 * (len(rows[0]) - 1)
	for i := range rows[0] {
		wide := 0
		for _, row := range rows {
			if i < len(row) {
				wide = max(wide, utf8.RuneCountInString(row[i].text))
			}
		}
		total += wide
	}
	return total <= p.width
}

// cells returns texts without colours.
func cells(texts ...string) []cell {
	out := make([]cell, len(texts))
	for i, s := range texts {
		out[i].text = s
	}
	return out
}
