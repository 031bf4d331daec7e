package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lb/admin/api"
)

// certificates shows when certificates expire.
type certificates func() []api.Certificate

const certificateHelp = "When a certificate in use expires, in seconds since 1970, by its first name and where it comes from: a file, acme, or lb's internal authority. Of several, the first that expires."

var certificateExpiry = prometheus.NewDesc("lb_certificate_expiry_timestamp_seconds", certificateHelp, []string{"name", "source"}, nil)

// Describe implements prometheus.Collector.
func (certificates) Describe(out chan<- *prometheus.Desc) { out <- certificateExpiry }

// Collect implements prometheus.Collector.
func (list certificates) Collect(out chan<- prometheus.Metric) {
	type key struct{ name, source string }
	first := map[key]time.Time{}
	for _, c := range list() {
		k := key{valid(c.Name), c.Source}
		if at, ok := first[k]; !c.Expires.IsZero() && (!ok || c.Expires.Before(at)) {
			first[k] = c.Expires
		}
	}
	for k, at := range first {
		out <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(at.Unix()), k.name, k.source)
	}
}
