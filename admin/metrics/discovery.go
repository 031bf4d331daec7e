package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"lb/admin/api"
)

// discovery shows the sources of backends and the names of backends. A name has no pool.
type discovery func() []api.Discovery

func discoveryDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("lb_discovery_"+name, help, []string{"pool", "source", "resolver"}, nil)
}

var (
	discoveryUp       = discoveryDesc("up", "1 if a source of backends, or a name of backends, has answered and its last answer was good, else 0. A name has an empty pool.")
	discoveryBackends = discoveryDesc("backends", "Backends that a source has, or addresses of a name, as they are used: the last that are known.")
	discoveryChanges  = discoveryDesc("changes_total", "Changes of what a source or a name says.")
	discoveryErrors   = discoveryDesc("errors_total", "Questions to a source, or for a name in one family, that failed.")
	discoverySuccess  = discoveryDesc("last_success_timestamp_seconds", "When a source or a name gave its last good answer, in seconds since 1970; a source that is watched answers when it changes.")
)

// Describe implements prometheus.Collector.
func (discovery) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{discoveryUp, discoveryBackends, discoveryChanges, discoveryErrors, discoverySuccess} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (list discovery) Collect(out chan<- prometheus.Metric) {
	for _, d := range list() {
		send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
			out <- prometheus.MustNewConstMetric(desc, kind, value, valid(d.Pool), valid(d.Source), valid(d.Resolver))
		}
		up := 0.0
		if d.Up {
			up = 1
		}
		send(discoveryUp, prometheus.GaugeValue, up)
		send(discoveryBackends, prometheus.GaugeValue, float64(d.Backends))
		send(discoveryChanges, prometheus.CounterValue, float64(d.Changes))
		send(discoveryErrors, prometheus.CounterValue, float64(d.Errors))
		if !d.LastAnswer.IsZero() {
			send(discoverySuccess, prometheus.GaugeValue, float64(d.LastAnswer.Unix()))
		}
	}
}
