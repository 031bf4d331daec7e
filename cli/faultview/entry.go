// Package faultview puts an entry of the flight recorder, or of `lb trace`, into words:
// whose fault it was, in which phase, at which backend. It knows the JSON of an entry, and
// nothing of lb, sockets or terminals.
package faultview

import (
	"encoding/json"
	"time"
)

// Entry is one exchange, as the access log, the flight recorder and `lb trace` have it.
type Entry struct {
	Kind      string    `json:"kind"` // "fault", "slow" or "trace"
	Time      time.Time `json:"time"` // when the request began
	RequestID string    `json:"request_id"`
	Client    string    `json:"client"`
	Peer      string    `json:"peer"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Target    string    `json:"target"`
	Protocol  string    `json:"protocol"`
	Status    int       `json:"status"`
	Bytes     uint64    `json:"bytes"`
	BytesIn   uint64    `json:"bytes_in"`
	Route     string    `json:"route"`
	Pool      string    `json:"pool"`
	Backend   string    `json:"backend"`
	Attempts  []Attempt `json:"attempts"`
	// Phases are in microseconds. A phase that the exchange did not reach is 0.
	Phases struct {
		Head        int64 `json:"head"`
		Queue       int64 `json:"queue"`
		Connect     int64 `json:"connect"`
		TLS         int64 `json:"tls"`
		Send        int64 `json:"send"`
		FirstByte   int64 `json:"first_byte"`
		Body        int64 `json:"body"`
		ClientStall int64 `json:"client_stall"`
	} `json:"phases"`
	TotalUS   int64  `json:"total_us"`
	Reused    bool   `json:"reused"`
	End       string `json:"end"` // "ok", or the side that ended it: "client", "lb", "backend"
	EndPhase  string `json:"end_phase"`
	EndWhy    string `json:"end_why"`
	EndDetail string `json:"end_detail"`
	TraceID   string `json:"trace_id"`

	Head     string    `json:"head"`   // of the request, redacted
	Answer   string    `json:"answer"` // head of the backend's answer, redacted
	Backends []Backend `json:"backends"`
}

// Attempt is one try at one backend.
type Attempt struct {
	Backend string `json:"backend"`
	Status  int    `json:"status"` // that it answered with; 0 if it failed
	Cause   string `json:"cause"`
	Phase   string `json:"phase"`
	Detail  string `json:"detail"`
	US      int64  `json:"us"` // microseconds
}

// Backend is a backend of the pool as it was when the exchange ended.
type Backend struct {
	Backend  string `json:"backend"`
	State    string `json:"state"`
	InFlight uint64 `json:"in_flight"`
}

// Parse reads one entry. Fields that it does not know, of another version of lb, are left
// out.
func Parse(raw []byte) (e Entry, err error) {
	err = json.Unmarshal(raw, &e)
	return e, err
}
