package chart

import "strings"

// textWidth returns a width that s does not exceed in any usual font of that size:
// the widths are those of DejaVu Sans, rounded up.
func textWidth(s string, size float64) float64 {
	width := 0.0
	for _, c := range s {
		switch {
		case strings.ContainsRune("ijl.,:;'| ", c):
			width += .36
		case strings.ContainsRune("frtI()[]-/", c):
			width += .45
		case strings.ContainsRune("mwMW%", c):
			width += 1
		case c >= 'A' && c <= 'Z':
			width += .8
		default:
			width += .65
		}
	}
	return width * size
}

// boldFactor is how much wider bold text is at most.
const boldFactor = 1.12

// boldWidth is textWidth for bold text.
func boldWidth(s string, size float64) float64 { return textWidth(s, boldFactor*size) }

// wrap breaks s at spaces into lines that are not wider than width, and first for
// the first line. A word that is too long gets a line of its own.
func wrap(s string, size, first, width float64) (lines []string) {
	line, room := "", first
	for _, word := range strings.Fields(s) {
		longer := strings.TrimPrefix(line+" "+word, " ")
		if textWidth(longer, size) > room && (line != "" || len(lines) == 0) {
			lines, longer, room = append(lines, line), word, width
		}
		line = longer
	}
	return append(lines, line)
}
