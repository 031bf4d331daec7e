package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lb/bench"
	"lb/bench/report"
)

// setting is what the proxies are started with. Cases of one setting share the
// processes.
type setting struct {
	workers, backends int
	unix              bool   // the backends listen on unix sockets
	tls               bool   // clients speak TLS to the proxies
	h2                bool   // clients speak HTTP/2 to the proxies
	h2c               bool   // the proxies speak HTTP/2 to the backends
	fresh             string // not empty: the processes are new, for the case of that name
}

// kind is how a case is measured.
type kind uint8

const (
	closedLoop kind = iota // the highest throughput
	halfRate               // an open loop at half of the throughput of the slowest proxy
	heldConns              // memory of conns that are held
)

// scenario is one case: a load and its setting.
type scenario struct {
	group string // a name that --scenario selects
	name  string // of the case; the group, unless that has several cases
	about string
	kind  kind
	setting
	load    load
	without []string // proxies that do not take part
	hold    string   // of heldConns: what the conns do, a name in holds
	beside  int      // slow readers beside the load
	flood   int      // clients that begin handshakes beside the load and never end them
}

// load describes a load, as the load process reads it. URL and Addrs differ by
// proxy and are set for each.
type load struct {
	URL       string        `json:"url"`
	Addrs     []string      `json:"addrs"`
	Path      string        `json:"path"`
	Conns     int           `json:"conns"`
	Requests  int64         `json:"requests"`
	Duration  time.Duration `json:"duration"`
	Rate      float64       `json:"rate"`
	BodyBytes int           `json:"body_bytes"`
	Fields    []bench.Field `json:"fields"`
	Close     bool          `json:"close"`   // a new conn for each request
	Verify    bool          `json:"verify"`  // length and checksum of every answer
	TLS       string        `json:"tls"`     // the version that is spoken; "": none
	Resume    bool          `json:"resume"`  // TLS sessions, on new conns
	Streams   int           `json:"streams"` // on each conn, by HTTP/2; 0: HTTP/1.1
	GRPC      bool          `json:"grpc"`    // unary calls, with Streams
}

const (
	connsUsual  = 64
	idleMax     = 10_000
	heldMax     = 500
	besideMany  = 200
	idleTLSMax  = 5_000
	idleH2Max   = 2_000
	streamConns = 20
	floodMany   = 16
	// shakesUsual is less than connsUsual, because the first session of each conn cannot be
	// a resumed one.
	shakesUsual = 16
	floodRate   = 2_000 // requests/s beside the flood
	seedConns   = 200
	seedTotal   = 100_000
)

// withBigBuffers are nginx and HAProxy with larger buffers than they have by
// default. They take part where bodies are long.
var withBigBuffers = []string{"nginx" + report.BigBuffers, "haproxy" + report.BigBuffers}

// one is the setting of most cases.
var one = setting{workers: 1, backends: 2}

// scenarios returns all cases in the order in which they run.
func scenarios() []scenario {
	get := func(name, about, path string, conns int) scenario {
		return scenario{group: name, name: name, about: about, setting: one, load: load{Path: path, Conns: conns}}
	}
	seed := get("seed", "100,000 requests, 128 B answers, 200 conns", "/bytes/128", seedConns)
	seed.load.Requests = seedTotal
	headers := get("headers", "20 more request fields, 128 B answers, 64 conns", "/bytes/128", connsUsual)
	headers.load.Fields = manyFields(20)
	post := get("post16k", "16 KiB uploads, 128 B answers, 64 conns", "/bytes/128", connsUsual)
	post.load.BodyBytes = 16 << 10
	closing := get("close", "a new conn for each request, 128 B answers, 64 at once; the relay, which would open a backend conn for each, has no part", "/bytes/128", connsUsual)
	closing.load.Close = true
	closing.without = []string{"relay"}
	overUnix := get("unix", "backends on unix sockets, 128 B answers, 64 conns", "/bytes/128", connsUsual)
	overUnix.unix = true
	rate := get("rate", "128 B answers, 64 conns, open loop at half of what the slowest proxy can do", "/bytes/128", connsUsual)
	rate.kind = halfRate
	slow := get("beside", "128 B answers, 64 conns, beside 200 clients that do not read their answers of 100 MB", "/bytes/128", connsUsual)
	slow.beside, slow.fresh, slow.without = besideMany, slow.group, []string{"direct", "relay"}

	all := []scenario{
		seed,
		get("small", "128 B answers, 64 conns", "/bytes/128", connsUsual),
		headers,
		get("kb16", "16 KiB answers, 64 conns", "/bytes/16384", connsUsual),
		get("kb64", "64 KiB answers, 64 conns", "/bytes/65536", connsUsual),
		get("mb1", "1 MiB answers, 16 conns", "/bytes/1048576", 16),
		post,
		closing,
		get("chunked", "16 KiB answers in chunks, 64 conns", "/chunked/16384", connsUsual),
		rate,
		overUnix,
		slow,
	}
	for _, name := range []string{"idle", "readers", "heads", "refused"} {
		s := get("held", holds[name].about, "", 0)
		s.name, s.hold, s.kind, s.fresh, s.without = name, name, heldConns, name, []string{"direct", "relay"}
		all = append(all, s)
	}
	for _, n := range []int{1, 2} {
		s := get("scale", fmt.Sprintf("128 B answers, 64 conns, workers: %d", n), "/bytes/128", connsUsual)
		s.name, s.workers = fmt.Sprintf("scale-%d", n), n
		all = append(all, s)
	}
	for _, n := range []int{2, 10, 100, 1000} {
		s := get("backends", fmt.Sprintf("128 B answers, 64 conns, backends: %d", n), "/bytes/128", connsUsual)
		s.name, s.setting.backends = fmt.Sprintf("backends-%d", n), n
		s.without = []string{"direct", "relay"}
		all = append(all, s)
	}
	all = append(all, tlsScenarios(get)...)
	all = append(all, h2Scenarios(get)...)
	for i := range all {
		if !slices.Contains([]string{"kb16", "kb64", "mb1", "post16k", "chunked", "tls-64k"}, all[i].name) {
			all[i].without = append(all[i].without, withBigBuffers...)
		}
	}
	return all
}

// tlsScenarios returns the cases with TLS from clients, by get. Backends are plain: direct
// and the relay, which ends no TLS, have no part.
func tlsScenarios(get func(name, about, path string, conns int) scenario) (all []scenario) {
	for _, version := range []string{"1.3", "1.2"} {
		prefix := "tls-"
		if version == "1.2" {
			prefix = "tls12-"
		}
		with := func(name, about, path string, closing, resume bool) {
			s := get("tls", fmt.Sprintf("TLS %s, %s", version, about), path, connsUsual)
			s.name, s.load.TLS, s.load.Close, s.load.Resume = prefix+name, version, closing, resume
			if closing {
				s.load.Conns = shakesUsual
			}
			all = append(all, s)
		}
		with("small", "128 B answers, 64 conns", "/bytes/128", false, false)
		if version == "1.3" {
			with("64k", "64 KiB answers, 64 conns", "/bytes/65536", false, false)
		}
		with("full", "a new conn and a full handshake for each request, 128 B answers, 16 at once", "/bytes/128", true, false)
		with("resumed", "a new conn and a resumed session for each request, 128 B answers, 16 at once", "/bytes/128", true, true)
	}
	calm := get("tls", fmt.Sprintf("TLS 1.3, 128 B answers, 64 conns, open loop at %d/s", floodRate), "/bytes/128", connsUsual)
	calm.name, calm.load.TLS, calm.load.Rate = "tls-calm", "1.3", floodRate
	flood := calm
	flood.name, flood.flood = "tls-flood", floodMany
	flood.about += fmt.Sprintf(", beside %d clients that begin handshakes as fast as they are answered and never end them", floodMany)
	idle := get("tls", "", "", 0)
	idle.name, idle.hold, idle.kind, idle.fresh, idle.load.TLS = "tls-idle", "tls-idle", heldConns, "tls-idle", "1.3"
	all = append(all, calm, flood, idle)
	for i := range all {
		all[i].tls, all[i].without = true, []string{"direct", "relay"}
	}
	return all
}

// manyFields returns n fields like those that browsers and proxies add.
func manyFields(n int) []bench.Field {
	fields := make([]bench.Field, n)
	for i := range fields {
		fields[i] = bench.Field{
			Name:  fmt.Sprintf("X-Header-%d", i),
			Value: fmt.Sprintf("some-value-%d-%s", i, strings.Repeat("v", 40)),
		}
	}
	return fields
}

// choose returns the cases of the groups or names in list. "" is all.
func choose(list string) ([]scenario, error) {
	all := scenarios()
	if list == "" {
		return all, nil
	}
	var out []scenario
	for name := range strings.SplitSeq(list, ",") {
		before := len(out)
		for _, s := range all {
			if s.group == name || s.name == name {
				out = append(out, s)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(groups(all), ", "))
		}
	}
	return out, nil
}

func groups(all []scenario) []string {
	var names []string
	for _, s := range all {
		if !slices.Contains(names, s.group) {
			names = append(names, s.group)
		}
	}
	return names
}
