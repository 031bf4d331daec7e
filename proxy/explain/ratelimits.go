package explain

import (
	"fmt"
	"time"

	"lb/admin/api"
)

// rates says what each rate limit says to the request. Nothing is taken from any.
func (f *Facts) rates(out *api.Explained) {
	for _, r := range f.Rates {
		one := api.ExplainedLimit{Name: r.Config.Name, Key: r.Config.KeyText(), Falls: r.Falls}
		wait := (time.Duration(r.Taken.Wait) + time.Millisecond - 1).Truncate(time.Millisecond)
		switch {
		case !r.Falls:
			one.Says = "is not for this request (match)"
		case r.Taken.OK:
			one.Left = r.Taken.Left + 1
			one.Says = fmt.Sprintf("lets it pass: %d of %d are left", one.Left, r.Config.Burst)
		case r.Config.DryRun:
			one.Says = fmt.Sprintf("would refuse it for %v, but only counts (dry_run)", wait)
		default:
			one.Refuses, one.Says = true, fmt.Sprintf("refuses it for %v: none of %d is left", wait, r.Config.Burst)
		}
		out.RateLimits = append(out.RateLimits, one)
	}
}
