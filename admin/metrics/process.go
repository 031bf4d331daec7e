package metrics

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// others returns the metrics that are not on the board, few in number. In mp, the Go metrics
// are those of the supervisor.
func others(o Options) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(buildInfo(o.Version), collectors.NewGoCollector())
	if o.Processes != nil && runtime.GOOS == "linux" { // elsewhere the library shows its own process, whatever the PID
		r.MustRegister(processes(o.Processes))
	} else {
		r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	if o.LastReload != nil {
		r.MustRegister(lastReload(o.LastReload)...)
	}
	if o.Certificates != nil {
		r.MustRegister(certificates(o.Certificates))
	}
	if o.Discovery != nil {
		r.MustRegister(discovery(o.Discovery))
	}
	if o.ConfigStore != nil {
		r.MustRegister(configStore(o.ConfigStore))
	}
	if o.Workers != nil {
		r.MustRegister(workersRunning(o.Workers))
	}
	return r
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

// processes shows the usual metrics of each process, with a label. It describes nothing,
// because which processes there are changes.
type processes func() []Process

// Describe implements prometheus.Collector.
func (processes) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (list processes) Collect(out chan<- prometheus.Metric) {
	for _, p := range list() {
		o := collectors.ProcessCollectorOpts{PidFn: func() (int, error) { return p.PID, nil }}
		c := prometheus.WrapCollectorWith(prometheus.Labels{"process": p.Name}, collectors.NewProcessCollector(o))
		metrics := make(chan prometheus.Metric)
		go func() {
			defer close(metrics)
			c.Collect(metrics)
		}()
		for m := range metrics {
			if !strings.Contains(m.Desc().String(), `"process_network_`) { // that is of the machine, once for each process
				out <- m
			}
		}
	}
}

func lastReload(last func() (ok bool, loaded time.Time)) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lb_config_last_reload_successful",
			Help: "1 if the last reload was taken up by every loop, or there was none yet; 0 if it was refused.",
		}, func() float64 {
			if ok, _ := last(); ok {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lb_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in use was taken up, in seconds since 1970.",
		}, func() float64 {
			_, loaded := last()
			return float64(loaded.UnixMilli()) / 1e3
		}),
	}
}
