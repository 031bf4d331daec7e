package admin

import (
	"log"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapesMax is how many scrapes run at once; more are answered with 503.
const scrapesMax = 4

// newRegistry returns a new registry with all metrics of lb. In mp, the Go and process
// metrics are those of the supervisor.
func newRegistry(o Options) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		&boardCollector{o.Board, o.Now, o.View},
		buildInfo(o.Version),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if o.Workers != nil {
		r.MustRegister(workersRunning(o.Workers))
	}
	return r
}

func metricsHandler(r *prometheus.Registry, errorLog *log.Logger) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            errorLog,
		MaxRequestsInFlight: scrapesMax,
	})
}

func buildInfo(version string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "lb_build_info",
		Help:        "Always 1; the labels are the version of lb and of the Go release it was built with.",
		ConstLabels: prometheus.Labels{"version": valid(version), "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}

func workersRunning(running func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lb_workers",
		Help: "Worker processes that run.",
	}, func() float64 { return float64(running()) })
}
