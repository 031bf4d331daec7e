package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lb/admin/api"
)

func TestConfigStore(t *testing.T) {
	state := &api.ConfigStore{Revision: 7}
	c := configStore(func() *api.ConfigStore { return state })
	want := `# HELP lb_config_store_revision Revision in the store of the configuration in use; 0 if that is the copy on disk.
# TYPE lb_config_store_revision gauge
lb_config_store_revision 7
# HELP lb_config_store_up 1 if the store that has the configuration gives it, else 0. Only with a configuration in etcd or Consul.
# TYPE lb_config_store_up gauge
lb_config_store_up 1
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	state.Fault = "down"
	if err := testutil.CollectAndCompare(c, strings.NewReader(strings.Replace(want, "store_up 1\n", "store_up 0\n", 1))); err != nil {
		t.Error(err)
	}
	if state = nil; testutil.CollectAndCount(c) != 0 {
		t.Error("a file is shown as a store")
	}
}
