package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a configuration, and what to do about it.
type Error struct {
	File   string `json:"file,omitempty"`   // "" for a flag
	Line   int    `json:"line,omitempty"`   // counted from 1; 0 for a flag
	Column int    `json:"column,omitempty"` // counted from 1, in bytes; 0 for a flag
	Key    string `json:"key,omitempty"`    // "timeouts.connect", "backends[1].port", "--mode"; "" for a mistake of syntax outside a value
	What   string `json:"what"`             // what is wrong
	Hint   string `json:"mend,omitempty"`   // what to do about it; "" if What says it
}

// Error returns one line: the place, the key, what is wrong, the hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.What)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Errors are all mistakes in a configuration, in the order of the file. It is never
// empty, and errors.As finds each *Error in it.
type Errors []*Error

// errorsShown is how many errors a list shows: a file of another kind has thousands.
const errorsShown = 10

// Shown returns the errors to show, and how many more there are.
func (es Errors) Shown() (first Errors, more int) {
	first = es[:min(len(es), errorsShown)]
	return first, len(es) - len(first)
}

// Error returns one line for each error that is shown, and one for the others.
func (es Errors) Error() string {
	shown, more := es.Shown()
	lines := make([]string, len(shown))
	for i, e := range shown {
		lines[i] = e.Error()
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// InOrder sorts es by position; errors at one position keep their order.
func (es Errors) InOrder() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return es
}
