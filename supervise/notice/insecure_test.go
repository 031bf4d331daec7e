package notice

import (
	"log/slog"
	"strings"
	"testing"

	"lb/config"
	"lb/supervise/plan"
)

// TestInsecure: one line for each pool that speaks TLS and does not look at certificates.
func TestInsecure(t *testing.T) {
	var out strings.Builder
	pool := func(name string, secure, insecure bool) config.Pool {
		return config.Pool{Name: name, TLS: config.BackendTLS{Insecure: insecure},
			Backends: []config.Backend{{Host: "a", Port: 1}, {Host: "b", Port: 1, TLS: secure}}}
	}
	Insecure(&plan.Snapshot{Config: &config.Config{Pools: []config.Pool{
		pool("one", true, true), pool("plain", false, true), pool("good", true, false), pool("two", true, true),
	}}}, slog.New(slog.NewTextHandler(&out, nil)))
	if n := strings.Count(out.String(), "level=WARN"); n != 2 || !strings.Contains(out.String(), "pool=one") || !strings.Contains(out.String(), "pool=two") {
		t.Errorf("%s", out.String())
	}
}
