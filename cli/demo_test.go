package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/supervise/localca"
)

// TestDemoPrints: what lb says to try leads to its listener, and believes its certificate.
func TestDemoPrints(t *testing.T) {
	storage := t.TempDir()
	if _, err := localca.Open(storage, time.Now()); err != nil {
		t.Fatal(err)
	}
	tls := func(names ...string) config.TLS {
		return config.TLS{ACME: config.ACME{Names: names, Storage: storage}}
	}
	ca := " --cacert " + localca.RootPath(storage)
	files := config.TLS{Certs: []config.Cert{{Cert: "a"}}, ACME: config.ACME{Names: []string{"localhost"}}}
	redirect := api.Listener{Address: "[::]:80", Role: api.RoleRedirect}
	for _, tc := range []struct {
		tls       config.TLS
		listeners api.Listeners
		want      string
	}{
		{config.TLS{}, api.Listeners{{Address: "0.0.0.0:8080", Role: api.RoleHTTP}}, "curl -i http://127.0.0.1:8080/\n"},
		{tls("localhost"), api.Listeners{{Address: "0.0.0.0:8443", Role: api.RoleHTTPS}}, "curl" + ca + " -i https://localhost:8443/\n"},
		{tls("localhost"), api.Listeners{redirect, {Address: "[::]:443", Role: api.RoleHTTPS}}, "curl" + ca + " -i https://localhost/\n"},
		{tls("::1"), api.Listeners{{Address: "[::]:443", Role: api.RoleHTTPS}}, "curl" + ca + " -i https://[::1]:443/\n"},
		{tls("example.com", "localhost"), api.Listeners{{Address: "[::]:443", Role: api.RoleHTTPS}, redirect}, "curl -i https://example.com/\n"},
		{files, api.Listeners{{Address: "10.0.0.1:8443", Role: api.RoleHTTPS}}, "curl -k -i https://10.0.0.1:8443/\n"},
	} {
		var out bytes.Buffer
		printDemo(&out, nil, &config.Config{TLS: tc.tls}, tc.listeners, nil)
		if !strings.Contains(out.String(), "  "+tc.want) {
			t.Errorf("%v at %v:\n%swant a line %q", tc.tls, tc.listeners, out.String(), tc.want)
		}
	}
}
