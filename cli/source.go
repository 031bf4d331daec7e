package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"lb/config"
)

// sourceMax is how many letters of a line are shown, so that it fits into a terminal.
const sourceMax = 76

// isTerminal reports whether w is a terminal. It is a variable for tests.
var isTerminal = func(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printSource writes the line of e, and a caret below its column, if w is a terminal.
func printSource(w io.Writer, e *config.Error) {
	if e.File == "" || !isTerminal(w) {
		return
	}
	if line, ok := lineOf(e.File, e.Line); ok {
		text, caret := excerpt(line, e.Column)
		fmt.Fprintf(w, "    %s\n    %s^\n", text, caret)
	}
}

// lineOf returns line n of the file at path. A pipe has been read already.
func lineOf(path string, n int) (line string, ok bool) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for i := 1; lines.Scan(); i++ {
		if i == n {
			return strings.TrimPrefix(lines.Text(), "\ufeff"), true
		}
	}
	return "", false
}

// excerpt returns the part of line that is shown, and the blanks before the caret below
// its column, which counts bytes from 1. Nothing that a terminal obeys is left in it.
func excerpt(line string, column int) (text, blanks string) {
	line = strings.TrimRight(line, "\r")
	before := line[:max(0, min(column-1, len(line)))]
	at := utf8.RuneCountInString(before)
	shown := []rune(strings.Map(func(c rune) rune {
		if c == '\t' || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, line))
	if from := at - sourceMax/2; from > 0 && len(shown) > sourceMax {
		shown, at = shown[from:], at-from
	}
	return string(shown[:min(len(shown), sourceMax)]), strings.Repeat(" ", at)
}
