// Package value checks single values of a configuration: kinds, numbers, lengths of
// time, sizes, addresses, and parts of HTTP. It knows no key and no table.
//
// A Check function says what is wrong with a text; a Parse function also returns what
// the value stands for. Both return a nil Flaw if nothing is wrong.
package value

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Flaw says what is wrong with a value and what to do about it.
type Flaw struct{ What, Hint string }

// Wrong returns a Flaw.
func Wrong(what, hint string) *Flaw { return &Flaw{what, hint} }

// WrongKind returns the flaw of v, a decoded value that is not of the wanted kind.
func WrongKind(v any, want, hint string) *Flaw {
	return Wrong("must be "+want+", not "+kind(v), hint)
}

// kind returns the kind of a decoded value, for a sentence.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64:
		return "a number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case nil:
		return "null"
	case map[string]any:
		return "a table"
	}
	return "a list"
}

// ParseText accepts texts.
func ParseText(v any) (string, *Flaw) {
	s, ok := v.(string)
	if !ok {
		return "", WrongKind(v, "text", hintText(v))
	}
	return s, nil
}

// hintText returns how to write v as text.
func hintText(v any) string {
	switch v.(type) {
	case int64, float64:
		return fmt.Sprintf(`write "%v"`, v)
	case time.Time:
		return "write it in quotes"
	}
	return "write one text in quotes"
}

// ParseBool accepts true and false.
func ParseBool(v any) (bool, *Flaw) {
	b, ok := v.(bool)
	if !ok {
		return false, WrongKind(v, "true or false", hintBool(v))
	}
	return b, nil
}

// hintBool returns which of the two v means.
func hintBool(v any) string {
	hint := ", without quotes"
	if _, text := v.(string); !text {
		hint = ""
	}
	switch strings.ToLower(fmt.Sprint(v)) {
	case "true", "on", "yes", "1", "enabled":
		return "write true" + hint
	case "false", "off", "no", "0", "disabled", "none", "":
		return "write false" + hint
	}
	return "write true or false" + hint
}

// ParseInt accepts whole numbers from low to high.
func ParseInt(v any, low, high int) (int, *Flaw) {
	n, ok := v.(int64)
	if !ok {
		return 0, WrongKind(v, "a whole number", hintInt(v))
	}
	if n < int64(low) || n > int64(high) {
		return 0, Wrong(fmt.Sprintf("%d is out of range", n), fmt.Sprintf("use %d to %d", low, high))
	}
	return int(n), nil
}

// hintInt returns how to write v as a whole number: without quotes, if that is all.
func hintInt(v any) string {
	if s, ok := v.(string); ok {
		if _, err := strconv.Atoi(s); err == nil {
			return fmt.Sprintf("write %s without quotes", s)
		}
	}
	return "write digits only, without quotes"
}

// ParseFloat accepts numbers that need not be whole, NaN among them.
func ParseFloat(v any) (float64, *Flaw) {
	switch n := v.(type) {
	case float64:
		return n, nil
	case int64:
		return float64(n), nil
	}
	return 0, WrongKind(v, "a number", hintFloat(v))
}

// hintFloat is hintInt for numbers that need not be whole, and for percentages.
func hintFloat(v any) string {
	s, _ := v.(string)
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	switch {
	case err != nil:
		return "write digits, and a dot if need be, without quotes"
	case percent:
		n = math.Round(n*1e4) / 1e6
	}
	return fmt.Sprintf("write %v without quotes", n)
}

// CheckShare accepts a part of a whole, from 0 to 1.
func CheckShare(n float64) *Flaw {
	if n >= 0 && n <= 1 {
		return nil
	}
	hint := "use 0 to 1, such as 0.2 for 20 %"
	if n > 1 && n <= 100 {
		hint = fmt.Sprintf("write %v for %v %%", math.Round(n*1e4)/1e6, n)
	}
	return Wrong(fmt.Sprintf("%v is out of range", n), hint)
}

// OneOf accepts the words in allowed. what is the word for such a word: "mode".
func OneOf(s, what string, allowed ...string) *Flaw {
	if slices.Contains(allowed, s) {
		return nil
	}
	quoted := make([]string, len(allowed))
	for i, a := range allowed {
		quoted[i] = strconv.Quote(a)
	}
	return Wrong(fmt.Sprintf("there is no %s %q", what, s), "use "+strings.Join(quoted, ", "))
}

// secretMin is the least length in bytes of a key that cannot be guessed.
const secretMin = 16

// CheckSecret accepts long texts, and "" for none. Its flaw does not repeat the text.
func CheckSecret(s string) *Flaw {
	if s != "" && len(s) < secretMin {
		return Wrong(fmt.Sprintf("is %d bytes long", len(s)),
			fmt.Sprintf(`use at least %d, such as what "openssl rand -hex 16" prints`, secretMin))
	}
	return nil
}

// CheckPoolName accepts the name of a pool that is not reserved.
func CheckPoolName(s, reserved string) *Flaw {
	switch {
	case s == "":
		return Wrong("is empty", "write a name")
	case s == reserved:
		return Wrong(fmt.Sprintf("%q is the pool of the top-level backends", s), "give it another name")
	}
	for i := range len(s) {
		if c := s[i]; !NameByte(c) && c != '.' {
			return Wrong(fmt.Sprintf("%q is no name for a pool", s), "use letters, digits, hyphens, underscores and dots")
		}
	}
	return nil
}

// NameByte reports whether c is a letter, a digit, a hyphen or an underscore, which
// may stand in names of every kind.
func NameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
