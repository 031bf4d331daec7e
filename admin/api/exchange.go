package api

import "time"

// Exchange is one exchange as the access log, the flight recorder and a trace have it. A
// field that does not apply is left out. Nothing in it is a credential: values of fields
// and parameters that may be one are "***".
type Exchange struct {
	Kind      string       `json:"kind,omitempty"` // fault, slow or trace
	Time      time.Time    `json:"time"`           // when the request began
	RequestID string       `json:"request_id,omitempty"`
	Client    string       `json:"client,omitempty"` // its address as believed; a unix socket has none
	Peer      string       `json:"peer,omitempty"`   // address of the conn where that is another one
	TLS       *ExchangeTLS `json:"tls,omitempty"`
	Method    string       `json:"method,omitempty"`
	Host      string       `json:"host,omitempty"`
	Target    string       `json:"target,omitempty"` // path and query
	Protocol  string       `json:"protocol,omitempty"`
	Status    int          `json:"status,omitempty"` // that the client got; left out if it got none
	Bytes     uint64       `json:"bytes"`            // of the body to the client
	BytesIn   uint64       `json:"bytes_in"`         // of the body from the client
	Route     string       `json:"route,omitempty"`
	Pool      string       `json:"pool,omitempty"`
	Backend   string       `json:"backend,omitempty"` // that the answer is from, or of the last attempt
	Attempts  []Attempt    `json:"attempts"`          // the first 8, and the last
	Phases    Phases       `json:"phases"`
	TotalUS   int64        `json:"total_us"` // microseconds, from the first byte of the request to the last of the answer
	Reused    bool         `json:"reused"`   // an idle conn to the backend was used
	End       string       `json:"end"`      // ok, or who ended it: client, lb or backend
	EndPhase  string       `json:"end_phase,omitempty"`
	EndWhy    string       `json:"end_why,omitempty"`    // the cause, in one word
	EndDetail string       `json:"end_detail,omitempty"` // more about it, in words
	TraceID   string       `json:"trace_id,omitempty"`   // of W3C traceparent
	Head      string       `json:"head,omitempty"`       // of the request, at most 2 KiB
	Answer    string       `json:"answer,omitempty"`     // head of the backend's answer
	// Backends are those of the pool when the exchange ended, 16 at most.
	Backends []BackendThen `json:"backends,omitempty"`
}

// ExchangeTLS is what the client's conn uses.
type ExchangeTLS struct {
	Version string `json:"version"`        // 1.2 or 1.3
	ALPN    string `json:"alpn,omitempty"` // such as h2
	Resumed bool   `json:"resumed"`        // by a ticket
}

// Attempt is one try at one backend: it has a cause and a phase if it failed, else a
// status.
type Attempt struct {
	Backend string `json:"backend"`
	Cause   string `json:"cause,omitempty"`
	Phase   string `json:"phase,omitempty"`
	Detail  string `json:"detail,omitempty"` // more about the cause, in words
	Status  int    `json:"status,omitempty"`
	US      int64  `json:"us"` // how long it took, in microseconds
}

// Phases is how long an exchange spent where, in microseconds.
type Phases struct {
	Head        int64 `json:"head"`
	Queue       int64 `json:"queue"`
	Connect     int64 `json:"connect"`
	TLS         int64 `json:"tls"` // with the backend
	Send        int64 `json:"send"`
	FirstByte   int64 `json:"first_byte"`
	Body        int64 `json:"body"`
	ClientStall int64 `json:"client_stall"` // how long lb waited for the client
}

// BackendThen is what was known of a backend at the end of an exchange.
type BackendThen struct {
	Backend  string `json:"backend"`
	State    string `json:"state"`
	InFlight uint64 `json:"in_flight"`
}

// Lost stands in a stream of exchanges for those that lb could not keep until the client
// read them.
type Lost struct {
	Kind string `json:"kind"` // lost
	Lost uint64 `json:"lost"` // how many
}
