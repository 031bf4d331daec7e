package health

import (
	"fmt"
	"slices"
	"strconv"

	"lb/config/schema"
	"lb/config/value"
)

// Retry says when an exchange is tried again, which it never is once it has been
// answered.
type Retry struct {
	Attempts  int // after the first; 0: no retries
	On        RetryOn
	Budget    float64 // share of the exchanges that may be retried: 0.2 is 20 %
	BudgetMin int     // retries that are allowed whatever the share is
}

// RetryOn is the set of faults that are retried; all but Connect and Stale only for
// idempotent methods.
type RetryOn struct {
	Connect                         bool // there was no connection
	Stale                           bool // a reused connection was closed already
	Timeout                         bool // no answer in time
	Reset                           bool // closed or reset before an answer
	Status502, Status503, Status504 bool // answers of the backend
}

// RetryKeys are the keys of [retry].
var RetryKeys = []schema.Key[Retry]{
	schema.Number("attempts", 0, attemptsMax, func(t *Retry) *int { return &t.Attempts }),
	schema.Special("on", readRetryOn, schema.Shown(func(t *Retry) string { return value.ListText(retryOnWords(t.On)) })),
	schema.Fraction("budget", value.CheckShare, func(t *Retry) *float64 { return &t.Budget }),
	schema.Number("budget_min", 0, 1<<20, func(t *Retry) *int { return &t.BudgetMin }),
}

// retryWords are the words of retry.on.
var retryWords = []struct {
	word  string
	field func(*RetryOn) *bool
}{
	{"connect", func(on *RetryOn) *bool { return &on.Connect }},
	{"stale", func(on *RetryOn) *bool { return &on.Stale }},
	{"timeout", func(on *RetryOn) *bool { return &on.Timeout }},
	{"reset", func(on *RetryOn) *bool { return &on.Reset }},
	{"502", func(on *RetryOn) *bool { return &on.Status502 }},
	{"503", func(on *RetryOn) *bool { return &on.Status503 }},
	{"504", func(on *RetryOn) *bool { return &on.Status504 }},
}

// readRetryOn reads the faults that are retried, which may be none.
func readRetryOn(r *schema.Reader, t *Retry, path string, v any) {
	t.On = RetryOn{}
	words := make([]string, len(retryWords))
	for i, w := range retryWords {
		words[i] = w.word
	}
	schema.ReadTexts(r, path, v, "use words in quotes, such as "+strconv.Quote(words[0]), func(at, s string) {
		i := slices.Index(words, s)
		switch {
		case i < 0:
			r.RefuseValue(at, value.OneOf(s, "fault", words...))
		case *retryWords[i].field(&t.On):
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%q is there already", s), "remove one"))
		default:
			*retryWords[i].field(&t.On) = true
		}
	})
}

func retryOnWords(on RetryOn) (words []string) {
	for _, w := range retryWords {
		if *w.field(&on) {
			words = append(words, w.word)
		}
	}
	return words
}
