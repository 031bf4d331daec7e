package api

import "time"

// TraceAsk says which exchanges to show, and for how long.
type TraceAsk struct {
	Client string        // address or network; "": any
	ID     string        // request id; "": any
	For    time.Duration // at most TraceMax
}

// TraceMax is how long a trace can be.
const TraceMax = 10 * time.Minute

// Setting is a setting in use.
type Setting struct {
	Key    string `json:"key"`    // as a path: "timeouts.connect", "pools[0].strategy"
	Value  string `json:"value"`  // as lb.toml would have it; a secret is "set" or "none"
	Source string `json:"source"` // one of the Sources
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"` // of File, counted from 1
	Flag   string `json:"flag,omitempty"` // "--port"
}

// The sources of a setting.
const (
	FromDefault = "default"
	FromFile    = "file"
	FromFlag    = "flag"
	FromRuntime = "run time"
)
