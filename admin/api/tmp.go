package api

import (
	"context"
	"encoding/json"
	"time"
)

type More interface {
	Faults(max int) []json.RawMessage
	FollowFaults(ctx context.Context, each func(json.RawMessage)) error
	Trace(ctx context.Context, ask TraceAsk, each func(json.RawMessage)) error
	Explain(ExplainAsk) (Explained, error)
	Settings() []Setting
	LogLevel() string
	SetLogLevel(string) error
	History() History
}
type TraceAsk struct {
	Client, ID string
	For        time.Duration
}
type ExplainAsk struct {
	Method, URL string
	Headers     []string
	From        string
}
type Explained struct {
	Choice string `json:"choice"`
}
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}
