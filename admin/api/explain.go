package api

// ExplainAsk is a request that lb explains and does not serve.
type ExplainAsk struct {
	Method  string   `json:"method,omitempty"`  // "" is GET
	URL     string   `json:"url"`               // http:// or https://; a path alone is for the first listener
	Headers []string `json:"headers,omitempty"` // "Name: value", in order
	From    string   `json:"from,omitempty"`    // IP address that the client's conn comes from; "" is 127.0.0.1
}

// The values of Explained.Outcome.
const (
	ToBackend = "backend" // Choice gets it
	OwnAnswer = "answer"  // lb answers by itself: Answer
	ToQueue   = "queue"   // it waits for room in the pool's queue, and is then sent to a backend
)

// Explained is what one loop of lb would do with a request now. Of heads and targets it
// has no credentials: their values are "***".
type Explained struct {
	Outcome string `json:"outcome"`
	Choice  string `json:"choice"` // address of the backend; "" unless Outcome is ToBackend
	How     string `json:"how"`    // why this backend, or this answer, in words
	// Settled reports whether the same request gets the same backend as long as nothing else
	// changes: a cookie or a hash leads there, or there is one backend alone. Otherwise the
	// turn or chance decide, and each loop has its own.
	Settled bool             `json:"settled"`
	Answer  *ExplainedAnswer `json:"answer,omitempty"` // lb's own; nil unless Outcome is OwnAnswer

	Config uint64 `json:"config"` // number of the configuration
	Loop   int    `json:"loop"`   // slot of the loop that was asked

	Method   string            `json:"method"`
	Host     string            `json:"host,omitempty"`
	Target   string            `json:"target"`
	Listener ExplainedListener `json:"listener"`
	Client   ExplainedClient   `json:"client"`

	Route    int                `json:"route"`              // number of the one that takes it, counted from 1 in the order of the file; 0: none
	Routes   []ExplainedRoute   `json:"routes"`             // all of them
	Readings []ExplainedReading `json:"readings,omitempty"` // of a path that can be read in several ways

	RateLimits []ExplainedLimit `json:"rate_limits,omitempty"` // all of them, unless the request is refused before they are asked

	Pool     string             `json:"pool,omitempty"`
	Strategy string             `json:"strategy,omitempty"`
	HashKey  string             `json:"hash_key,omitempty"` // what is hashed, as "header:x-user"
	Backends []ExplainedBackend `json:"backends,omitempty"` // of the pool

	// Settings are those that hold for this request: timeouts, retries, limits. The keys are
	// those of lb.toml.
	Settings []ExplainedSetting `json:"settings,omitempty"`

	Head    string   `json:"head,omitempty"`    // that the backend would get, as text of HTTP/1.1
	Added   []string `json:"added,omitempty"`   // field lines of it that did not come so
	Dropped []string `json:"dropped,omitempty"` // field lines that came and do not go on
	Notes   []string `json:"notes,omitempty"`   // other things to know, one line each
}

// ExplainedAnswer is an answer of lb's own.
type ExplainedAnswer struct {
	Status     int      `json:"status"`
	GRPCStatus int      `json:"grpc_status,omitempty"` // of a call of gRPC, which gets it with a 200
	Cause      string   `json:"cause,omitempty"`       // as in the access log; "" if it is no fault
	Text       string   `json:"text,omitempty"`        // for the client
	Fields     []string `json:"fields,omitempty"`      // field lines of this answer alone
}

// ExplainedListener is where the request comes in.
type ExplainedListener struct {
	Address string `json:"address"` // as configured
	Role    string `json:"role"`    // one of the Roles
}

// ExplainedClient is the client as lb believes it.
type ExplainedClient struct {
	Address string `json:"address"` // that the request began at; "" for a unix socket
	Peer    string `json:"peer"`    // of the conn
	Trusted bool   `json:"trusted"` // the peer is in trusted_proxies, and is believed what it says
	Scheme  string `json:"scheme"`  // http or https
}

// ExplainedRoute is what one route says.
type ExplainedRoute struct {
	Number int    `json:"number"` // counted from 1 in the order of the file
	Name   string `json:"name"`   // its conditions, as in lb reload
	To     string `json:"to"`     // "pool api", or "redirect to ..."
	Taken  bool   `json:"taken"`
	Why    string `json:"why"` // why it is taken, or the first reason why it is not
}

// ExplainedLimit is what a rate limit says at this moment. Nothing is taken from it.
type ExplainedLimit struct {
	Name    string `json:"name"`
	Key     string `json:"key"`     // what is counted apart, as in the file
	Falls   bool   `json:"falls"`   // the request falls under it
	Refuses bool   `json:"refuses"` // it is used up
	Left    int64  `json:"left"`    // requests that it lets pass now, this one included
	Says    string `json:"says"`    // the same in words
}

// ExplainedReading is a way to read the path.
type ExplainedReading struct {
	Form  string `json:"form"`
	Path  string `json:"path"`
	Route int    `json:"route"` // number of the route that it leads to; 0: none
}

// ExplainedBackend is a backend of the pool, as the loop sees it at this moment.
type ExplainedBackend struct {
	Address        string `json:"address"`
	Chosen         bool   `json:"chosen"`
	Candidate      bool   `json:"candidate"` // it may be chosen
	State          string `json:"state"`     // up, unknown, down, ejected, draining, disabled
	Weight         uint64 `json:"weight"`    // in use
	Percent        int    `json:"percent"`   // of its weight that it has in slow start, else 100
	InFlight       uint64 `json:"in_flight"`
	MaxConnections uint64 `json:"max_connections,omitempty"` // 0: unlimited
	Why            string `json:"why"`                       // why it can be chosen, or cannot
}

// ExplainedSetting is a setting that holds for the request.
type ExplainedSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}
