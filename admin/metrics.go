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

// newRegistry returns a registry of its own with all that lb shows. In mp, the
// Go and process metrics are those of the supervisor.
func newRegistry(o Options) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		newBoardCollector(o.Board, o.Config, o.Now),
		buildInfo(o.Version),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if o.Workers != nil {
		r.MustRegister(workersCollector(o.Workers))
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

// workersCollector shows what the supervisor knows of its workers.
type workersCollector func() Workers

var (
	workersRunning = prometheus.NewDesc("lb_workers",
		"Worker processes that run.", nil, nil)
	workerRestarts = prometheus.NewDesc("lb_worker_restarts_total",
		"Worker processes started in the place of one that ended.", nil, nil)
)

func (workersCollector) Describe(out chan<- *prometheus.Desc) {
	out <- workersRunning
	out <- workerRestarts
}

func (c workersCollector) Collect(out chan<- prometheus.Metric) {
	w := c()
	out <- prometheus.MustNewConstMetric(workersRunning, prometheus.GaugeValue, float64(w.Running))
	out <- prometheus.MustNewConstMetric(workerRestarts, prometheus.CounterValue, float64(w.Restarts))
}
