package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Report is one comparison run, as bench/results keeps it.
type Report struct {
	Command  string            `json:"command"`
	Date     string            `json:"date"`   // RFC 3339, of the start
	Commit   string            `json:"commit"` // of lb; "+" after it: with changes
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"` // by program
	Cores    string            `json:"cores"`    // which process ran where, with one worker
	Rounds   int               `json:"rounds"`
	Seconds  float64           `json:"seconds"` // of each measurement that is not a number of requests
	Missing  []string          `json:"missing,omitempty"`
	Cases    []Case            `json:"cases"`
}

// Machine is the machine of a run.
type Machine struct {
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"` // available to the run
	Memory   int64  `json:"memory_bytes"`
	Kernel   string `json:"kernel"`
	Platform string `json:"platform"`
	Virtual  bool   `json:"virtual"`
}

// kind returns what a text calls the machine.
func (m *Machine) kind() string {
	if m.Virtual {
		return "virtual machine"
	}
	return "machine"
}

// Case is one scenario as it was measured.
type Case struct {
	Name    string  `json:"name"`
	About   string  `json:"about"`
	Cores   string  `json:"cores"`
	Rate    float64 `json:"rate,omitempty"` // requests/s of an open loop
	Proxies []Proxy `json:"proxies"`
}

// Proxy is the measurements of one proxy, round by round.
type Proxy struct {
	Name   string  `json:"name"` // direct, relay, lb-mp, lb-mt, nginx, haproxy, before-mp, before-mt
	Rounds []Round `json:"rounds"`
	Curve  []Point `json:"curve,omitempty"` // of all rounds together
}

// Round is one measurement.
type Round struct {
	Requests   int64   `json:"requests"` // answered
	Errors     int64   `json:"errors"`
	Throughput float64 `json:"throughput"` // answers/s
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	P999       float64 `json:"p99.9_us"`
	User       float64 `json:"user_us"`      // CPU time per request
	System     float64 `json:"system_us"`    // CPU time per request
	Memory     int64   `json:"memory_bytes"` // Pss at the end
	IdleBytes  float64 `json:"idle_bytes,omitempty"`
}

// Point is a point of a latency curve: Share of the answers took Micros or less.
type Point struct {
	Share  float64 `json:"share"`
	Micros float64 `json:"us"`
}

// proxy returns the proxy of that name, or nil if there is none.
func (c *Case) proxy(name string) *Proxy {
	for i := range c.Proxies {
		if c.Proxies[i].Name == name {
			return &c.Proxies[i]
		}
	}
	return nil
}

// find returns the case of that name, or nil if there is none.
func (r *Report) find(name string) *Case {
	for i := range r.Cases {
		if r.Cases[i].Name == name {
			return &r.Cases[i]
		}
	}
	return nil
}

// errors returns the number of failed requests of all rounds.
func (p *Proxy) errors() (n int64) {
	for i := range p.Rounds {
		n += p.Rounds[i].Errors
	}
	return n
}

// isIdle reports whether c measures memory and not requests.
func (c *Case) isIdle() bool {
	return len(c.Proxies) > 0 && len(c.Proxies[0].Rounds) > 0 && c.Proxies[0].Rounds[0].IdleBytes != 0
}

// Read reads a report's JSON.
func Read(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &r, nil
}

// writeJSON writes the whole report.
func (r *Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// writeCSV writes one line for each measurement.
func (r *Report) writeCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	c.Write([]string{"case", "proxy", "round", "requests", "errors", "requests_per_s", "p50_us", "p99_us", "p99.9_us",
		"user_us_per_request", "system_us_per_request", "memory_bytes", "idle_bytes_per_conn"})
	for _, cs := range r.Cases {
		for _, p := range cs.Proxies {
			for i, d := range p.Rounds {
				c.Write([]string{cs.Name, p.Name, strconv.Itoa(i + 1), strconv.FormatInt(d.Requests, 10), strconv.FormatInt(d.Errors, 10),
					decimal(d.Throughput), decimal(d.P50), decimal(d.P99), decimal(d.P999),
					decimal(d.User), decimal(d.System), strconv.FormatInt(d.Memory, 10), decimal(d.IdleBytes)})
			}
		}
	}
	c.Flush()
	return c.Error()
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }
