package value

import (
	"fmt"
	"strings"
)

// QuoteText returns s as it is, in quotes if it is empty or would not be one word.
func QuoteText(s string) string {
	if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '"' || c >= 0x7f }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// ListText returns the elements of list in brackets.
func ListText[T any](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	return "[" + strings.Join(words, ", ") + "]"
}
