package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lb/admin/api"
)

func TestDiscovery(t *testing.T) {
	list := discovery(func() []api.Discovery {
		return []api.Discovery{
			{Pool: "web", Source: "dns://web.test:80", Up: true, Backends: 3, LastAnswer: time.Unix(1700000000, 0), Changes: 2},
			{Source: "app.test", Resolver: "10.0.0.1:53", Errors: 7},
		}
	})
	want := `# HELP lb_discovery_up 1 if a source of backends, or a name of backends, has answered and its last answer was good, else 0. A name has an empty pool.
# TYPE lb_discovery_up gauge
lb_discovery_up{pool="",resolver="10.0.0.1:53",source="app.test"} 0
lb_discovery_up{pool="web",resolver="",source="dns://web.test:80"} 1
# HELP lb_discovery_errors_total Questions to a source, or for a name in one family, that failed.
# TYPE lb_discovery_errors_total counter
lb_discovery_errors_total{pool="",resolver="10.0.0.1:53",source="app.test"} 7
lb_discovery_errors_total{pool="web",resolver="",source="dns://web.test:80"} 0
# HELP lb_discovery_last_success_timestamp_seconds When a source or a name gave its last good answer, in seconds since 1970; a source that is watched answers when it changes.
# TYPE lb_discovery_last_success_timestamp_seconds gauge
lb_discovery_last_success_timestamp_seconds{pool="web",resolver="",source="dns://web.test:80"} 1.7e+09
`
	if err := testutil.CollectAndCompare(list, strings.NewReader(want), "lb_discovery_up", "lb_discovery_errors_total", "lb_discovery_last_success_timestamp_seconds"); err != nil {
		t.Error(err)
	}
}
