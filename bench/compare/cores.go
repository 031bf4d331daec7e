package main

import (
	"fmt"
	"slices"
	"strings"
)

// cores are the CPUs of each process, by number.
type cores struct {
	Proxy    []int `json:"proxy"`
	Backends []int `json:"backends"`
	Load     []int `json:"load"`
}

// loadMax is the most cores that the load gets: enough to be faster than any proxy
// on one core.
const loadMax = 2

// split gives the proxies as many of cpus as they have workers, and the rest to
// backends and load. If there is no rest they share.
func split(cpus []int, workers int) cores {
	n := min(workers, len(cpus))
	c := cores{Proxy: cpus[:n]}
	rest := cpus[n:]
	switch len(rest) {
	case 0:
		c.Backends, c.Load = cpus[n-1:], cpus[n-1:]
	case 1:
		c.Backends, c.Load = rest, rest
	default:
		c.Backends, c.Load = rest[:1], rest[1:min(len(rest), 1+loadMax)]
	}
	return c
}

// note says what a reader of the throughput must know about the cores.
func (c cores) note() string {
	s := fmt.Sprintf("proxies on core %s, backends on %s, load on %s", list(c.Proxy), list(c.Backends), list(c.Load))
	switch {
	case slices.ContainsFunc(c.Proxy, func(n int) bool { return slices.Contains(c.Load, n) }):
		s += "; they share, so throughput, latency and shares of direct say little: compare CPU time"
	case slices.ContainsFunc(c.Backends, func(n int) bool { return slices.Contains(c.Load, n) }):
		s += "; load and backends share a core, which holds direct back and lets shares of direct say little: compare CPU time"
	}
	return s
}

func list(cpus []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(cpus), " ", ","), "[]")
}
