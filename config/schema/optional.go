package schema

import (
	"strconv"
	"strings"
	"time"

	"lb/config/value"
)

// Keys whose feature can be switched off.

// Optional returns a key whose value is a length of time, or "0s", of which none says what
// that means: "no delay".
func Optional[T any](name, none string, field func(*T) *time.Duration) Key[T] {
	return Single(name, field, func(v any) (time.Duration, *value.Flaw) {
		if v == "0s" {
			return 0, nil
		}
		d, f := value.ParseDuration(v, 1)
		if f != nil && strings.HasPrefix(f.Hint, "no timeout") {
			f.Hint = `use "0s" for ` + none
		}
		return d, f
	}, value.DurationText)
}

// Unlimited is the word for a number without a bound.
const Unlimited = "unlimited"

// Bound returns a key whose value is a whole number up to high, or Unlimited. The field is 0
// for Unlimited, and -1 for 0, so that the zero value bounds nothing.
func Bound[T any](name string, high int, field func(*T) *int) Key[T] {
	return Single(name, field, func(v any) (int, *value.Flaw) {
		if v == Unlimited {
			return 0, nil
		}
		n, f := value.ParseInt(v, 0, high)
		if f != nil {
			f.Hint += `, or write "` + Unlimited + `"`
		} else if n == 0 {
			n = -1
		}
		return n, f
	}, func(n int) string {
		if n == 0 {
			return value.QuoteText(Unlimited)
		}
		return strconv.Itoa(max(n, 0))
	})
}
