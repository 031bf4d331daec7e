package cli

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// On a terminal the line stands below the message, and a caret below its column.
func TestSourceLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "via = \"\u00fc\"\nprot = 80\n[timeouts]\n\t connect = 5\r\n")
	wasTerminal := isTerminal
	t.Cleanup(func() { isTerminal = wasTerminal })
	for _, terminal := range []bool{false, true} {
		isTerminal = func(io.Writer) bool { return terminal }
		var out, errs bytes.Buffer
		code := run([]string{"check", "-c", path}, &out, &errs)
		want := path + ":1:7: via: \"\u00fc\" cannot stand in a Via field; use letters, digits and hyphens, or \"\" for no Via\n" +
			"    via = \"\u00fc\"\n          ^\n" +
			path + ":2:1: prot: unknown key; did you mean \"port\"?\n    prot = 80\n    ^\n" +
			path + ":4:13: timeouts.connect: 5 has no unit; write \"5s\"\n      connect = 5\n                ^\n"
		if !terminal {
			var lines []string
			for line := range strings.Lines(want) {
				if !strings.HasPrefix(line, "    ") {
					lines = append(lines, line)
				}
			}
			want = strings.Join(lines, "")
		}
		if code != exitConfig || errs.String() != want {
			t.Errorf("terminal %v: exit code %d with\n%swant\n%s", terminal, code, errs.String(), want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tc := range []struct {
		line         string
		column       int
		text, blanks string
	}{
		{"a = \x1b[2J\x07\r", 5, "a =  [2J ", "    "},
		{"", 1, "", ""},
		{"a", 9, "a", " "},
		{long, 1, long[:76], ""},
		{long, 150, long[:76], strings.Repeat(" ", 38)},
		{"\u00fc\u00fc", 3, "\u00fc\u00fc", " "},
	} {
		if text, blanks := excerpt(tc.line, tc.column); text != tc.text || blanks != tc.blanks {
			t.Errorf("%q at %d: %q and %q", tc.line, tc.column, text, blanks)
		}
	}
}

// Ten errors are shown, and how many more there are.
func TestManyErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lb.toml")
	var text strings.Builder
	for i := range 80 {
		fmt.Fprintf(&text, "qzjxv%d = 1\n", i)
	}
	testkit.WriteFile(t, path, text.String())
	var out, errs bytes.Buffer
	run([]string{"check", "-c", path}, &out, &errs)
	if got := errs.String(); strings.Count(got, "\n") != 11 || !strings.HasSuffix(got, "\nlb: and 70 more\n") {
		t.Errorf("80 errors are\n%s", got)
	}
}
