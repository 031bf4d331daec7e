package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"lb/admin/api"
)

// configStore shows the store that has the configuration.
type configStore func() *api.ConfigStore

var (
	storeUp = prometheus.NewDesc("lb_config_store_up",
		"1 if the store that has the configuration gives it, else 0. Only with a configuration in etcd or Consul.", nil, nil)
	storeRevision = prometheus.NewDesc("lb_config_store_revision",
		"Revision in the store of the configuration in use; 0 if that is the copy on disk.", nil, nil)
)

// Describe implements prometheus.Collector.
func (configStore) Describe(out chan<- *prometheus.Desc) { out <- storeUp; out <- storeRevision }

// Collect implements prometheus.Collector.
func (state configStore) Collect(out chan<- prometheus.Metric) {
	s := state()
	if s == nil {
		return
	}
	up := 1.0
	if s.Fault != "" {
		up = 0
	}
	out <- prometheus.MustNewConstMetric(storeUp, prometheus.GaugeValue, up)
	out <- prometheus.MustNewConstMetric(storeRevision, prometheus.GaugeValue, float64(s.Revision))
}
