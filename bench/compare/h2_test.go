package main

import (
	"strings"
	"testing"

	"lb/bench"
)

// What h2load 1.52 prints.
const h2loadText = `starting benchmark...
Application protocol: h2c

finished in 1.00s, 83541.00 req/s, 16.10MB/s
requests: 83541 total, 83797 started, 83541 done, 83530 succeeded, 8 failed, 2 errored, 1 timeout
status codes: 83533 2xx, 0 3xx, 0 4xx, 8 5xx
`

func TestParseH2load(t *testing.T) {
	r, err := parseH2load(h2loadText)
	if err != nil || r.Answers != 83530 || r.Requests != 83541 || r.Errors != (bench.Errors{Status: 8, Reset: 2, Timeout: 1}) {
		t.Errorf("%+v, %v", r, err)
	}
	for what, text := range map[string]string{
		"HTTP/1.1":   strings.Replace(h2loadText, "h2c", "http/1.1", 1),
		"no answers": strings.Replace(h2loadText, "83530 succ", "0 succ", 1),
		"no counts":  "starting benchmark...\nApplication protocol: h2\n",
		"nothing":    "",
	} {
		if r, err := parseH2load(text); err == nil {
			t.Errorf("%s is read as %+v", what, r)
		}
	}
}

func TestReadLatencies(t *testing.T) {
	l := bench.NewLatency()
	if err := readLatencies(strings.NewReader("1795742820000001\t200\t100\n1795742820000002\t200\t300\n"), l); err != nil || l.TotalCount() != 2 || l.At(.5) < 99_000 || l.At(.5) > 101_000 {
		t.Errorf("%v, %d, %v", err, l.TotalCount(), l.At(.5))
	}
	if readLatencies(strings.NewReader("1795742820000001\t200\n"), l) == nil && readLatencies(strings.NewReader("x\ty\n"), l) == nil {
		t.Error("text is read as a latency")
	}
}
