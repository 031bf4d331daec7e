package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lb/admin/api"
)

// TestCertificateMetrics: one series for each name and source, and none for a name that has
// no certificate yet.
func TestCertificateMetrics(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(1_700_000_000+n, 0) }
	list := certificates(func() []api.Certificate {
		return []api.Certificate{
			{Name: "a.test", Source: "file", Expires: at(5)},
			{Name: "a.test", Source: "file", Expires: at(3)},
			{Name: "a.test", Source: "internal", Expires: at(7)},
			{Name: "b.test", Fault: "no answer"},
		}
	})
	want := "# HELP lb_certificate_expiry_timestamp_seconds " + certificateHelp + `
# TYPE lb_certificate_expiry_timestamp_seconds gauge
lb_certificate_expiry_timestamp_seconds{name="a.test",source="file"} 1.700000003e+09
lb_certificate_expiry_timestamp_seconds{name="a.test",source="internal"} 1.700000007e+09
`
	if err := testutil.CollectAndCompare(list, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
