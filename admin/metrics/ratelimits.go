package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"lb/admin/api"
)

var (
	rateLimited = family{"lb_rate_limited_total",
		"Requests beyond a rate limit: refused with 429, or (dry_run) only counted.", counter}
	ratePassed = family{"lb_rate_limit_passed_total",
		"Requests within a rate limit that no other one refused.", counter}
	rateLost = family{"lb_rate_limit_states_lost_total",
		"Buckets of rate limits that gave way to others before they were full again, for want of room: their clients begin with a full one.", counter}
)

// shownLimit is a rate limit's number on the board and its labels.
type shownLimit struct {
	number int
	name   label
}

var dryRun = [...]label{newLabel("dry_run", "false"), newLabel("dry_run", "true")}

// limits returns the rate limits of v.
func (c *collector) limits(v View) (all []shownLimit) {
	for i := range v.Config.RateLimits {
		name := v.Config.RateLimits[i].Name
		all = append(all, shownLimit{c.board.Buckets().Limit(name), newLabel("limit", name)})
	}
	return all
}

// writeLimits writes what the rate limits have counted.
func (c *collector) writeLimits(s *scrape, now *shown) {
	area, loops := c.board.Buckets(), c.board.Loops()
	s.begin(&rateLimited)
	for _, l := range now.limits {
		n := area.Totals(l.number, loops)
		s.sample(float64(n.Refused), dryRun[0], l.name)
		s.sample(float64(n.Spared), dryRun[1], l.name)
	}
	s.begin(&ratePassed)
	for _, l := range now.limits {
		s.sample(float64(area.Totals(l.number, loops).Passed), l.name)
	}
	s.begin(&rateLost)
	s.sample(float64(area.Lost()))
}

// rateStores shows whether the stores of rate limits answer.
type rateStores func() []api.RateLimit

const rateStoreHelp = "Whether the store of a rate limit has answered last time; if not, this machine counts alone."

var rateStoreUp = prometheus.NewDesc("lb_rate_limit_store_up", rateStoreHelp, []string{"limit"}, nil)

// Describe implements prometheus.Collector.
func (rateStores) Describe(out chan<- *prometheus.Desc) { out <- rateStoreUp }

// Collect implements prometheus.Collector.
func (list rateStores) Collect(out chan<- prometheus.Metric) {
	for _, l := range list() {
		if l.Store == "" {
			continue
		}
		up := 0.0
		if l.StoreState == api.StoreUp {
			up = 1
		}
		out <- prometheus.MustNewConstMetric(rateStoreUp, prometheus.GaugeValue, up, l.Name)
	}
}
