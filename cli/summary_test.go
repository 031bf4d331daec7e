package cli

import (
	"testing"

	"lb/config"
)

// A pool that has its backends from a source is not one without.
func TestSummary(t *testing.T) {
	cfg := &config.Config{Pools: []config.Pool{{Discover: "dns://a:1"}, {Discover: "dns://b:1"}}}
	if got, want := summary(cfg), "0 backends and 2 sources in 2 pools"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
