package rest

import (
	"net/http"

	"lb/admin/api"
)

// Endpoint is one method of one path. All that is known of it is here: the handlers, the
// rule who may use it, the OpenAPI document and docs/api.md follow from Endpoints.
type Endpoint struct {
	Method, Path string
	// Summary is one sentence for the OpenAPI document and docs/api.md.
	Summary string
	// Token says that over TCP the endpoint is for a client that knows the token: it
	// changes something, or shows what is for the operator alone.
	Token bool
	// TCP says that the endpoint is on the admin address only.
	TCP bool
	// AnyHost says that a request may name any host: what it shows is for monitors, which
	// reach lb by any name, and of no use to a web page.
	AnyHost bool
	Query   []Param
	Body    any   // an example of what the body is read into; nil: there is no body
	Answer  any   // an example of the answer as JSON; nil: it is not JSON
	Lines   []any // examples of the lines of application/x-ndjson; none: no such stream
	Media   string
	Refused []int // status codes of refusals, besides those that every endpoint has

	serve func(*Server, *call)
}

// Param is a parameter of the query.
type Param struct {
	Name, Summary string
	Type          string // of the OpenAPI document: string, integer or boolean
	Many          bool   // it may be repeated
	Required      bool
}

// Endpoints are all endpoints, in the order of the documents.
var Endpoints []Endpoint

// init, because the handler of the OpenAPI document refers to Endpoints.
func init() {
	Endpoints = []Endpoint{
		{Method: "GET", Path: "/v1/status", Summary: "State of lb as a whole, with loops, pools, backends and certificates.",
			Answer: api.Status{}, serve: (*Server).status},
		{Method: "GET", Path: "/v1/backends", Summary: "All pools with their backends.",
			Answer: Backends{}, serve: (*Server).backends},
		{Method: "POST", Path: "/v1/backends", Summary: "Changes one backend at run time, and returns its new state.",
			Token: true, Body: BackendChange{}, Answer: api.Backend{}, Refused: []int{404, 409}, serve: (*Server).setBackend},
		{Method: "GET", Path: "/v1/faults", Summary: "The newest failed and slow exchanges, the newest last; with follow=true those that come, as a stream.",
			Query: []Param{
				{Name: "max", Summary: "How many at most: 1 to 256, which is the default. With follow: how many to begin with, 0 to 256; the default is 0.", Type: "integer"},
				{Name: "follow", Summary: "Go on with those to come, one a line, when each has ended.", Type: "boolean"},
			},
			Answer: Faults{}, Lines: []any{api.Exchange{}, api.Lost{}}, Refused: []int{503}, serve: (*Server).faults},
		{Method: "GET", Path: "/v1/trace", Summary: "Streams the exchanges of a client, or of a request id, with their heads, for a bounded time.",
			Token: true,
			Query: []Param{
				{Name: "client", Summary: "Address or prefix of clients, such as 192.0.2.1 or 2001:db8::/32.", Type: "string"},
				{Name: "id", Summary: "The request id.", Type: "string"},
				{Name: "seconds", Summary: "How long, 600 at most. The default is 60.", Type: "integer"},
			},
			Lines: []any{api.Exchange{}, api.Lost{}}, Refused: []int{409, 503}, serve: (*Server).trace},
		{Method: "GET", Path: "/v1/explain", Summary: "What lb would do with a request: route, pool, backend, limits, fields. Nothing is sent.",
			Query: []Param{
				{Name: "method", Summary: "The method. The default is GET.", Type: "string"},
				{Name: "url", Summary: "The URL, such as https://example.com/a?b.", Type: "string", Required: true},
				{Name: "header", Summary: "A field of the request, such as \"Accept: */*\".", Type: "string", Many: true},
				{Name: "from", Summary: "Address of the client's conn. The default is 127.0.0.1.", Type: "string"},
			},
			Answer: api.Explained{}, serve: (*Server).explain},
		{Method: "GET", Path: "/v1/config", Summary: "Each setting: its value in use, and where that comes from.",
			Answer: Settings{}, serve: (*Server).settings},
		{Method: "GET", Path: "/v1/log", Summary: "The level of the log.",
			Answer: LogLevel{}, serve: (*Server).logLevel},
		{Method: "POST", Path: "/v1/log", Summary: "Changes the level of the log until the next reload or start.",
			Token: true, Body: LogLevel{}, Answer: LogLevel{}, Refused: []int{409}, serve: (*Server).setLogLevel},
		{Method: "GET", Path: "/v1/history", Summary: "What pools and backends did during the last ten minutes.",
			Query:  []Param{{Name: "points", Summary: "How many points at most, the newest. The default is all.", Type: "integer"}},
			Answer: api.History{}, serve: (*Server).history},
		{Method: "GET", Path: "/v1/events", Summary: "What the dashboard shows, as server-sent events.",
			Media: "text/event-stream", Refused: []int{503}, serve: (*Server).events},
		{Method: "POST", Path: "/v1/reload", Summary: "Reads the configuration again and uses it; with plan it only says what would change.",
			Token: true, Body: ReloadAsk{}, Answer: api.Reloaded{}, Refused: []int{409, 422}, serve: (*Server).reload},
		{Method: "POST", Path: "/v1/upgrade", Summary: "Replaces the process by a new binary, without losing a connection.",
			Token: true, Body: UpgradeAsk{}, Answer: api.Upgraded{}, Refused: []int{409}, serve: (*Server).upgrade},
		{Method: "POST", Path: "/v1/drain", Summary: "Begins to drain, as SIGTERM does, and does not wait for the end.",
			Token: true, Body: struct{}{}, Answer: struct{}{}, Refused: []int{409}, serve: (*Server).drain},
		{Method: "GET", Path: "/v1/openapi.json", Summary: "This document.",
			Media: "application/json", serve: (*Server).openAPI},
		{Method: "GET", Path: "/", Summary: "The dashboard.",
			TCP: true, Media: "text/html", serve: func(s *Server, c *call) { s.pass(s.o.Page, c) }},
		{Method: "GET", Path: "/healthz", Summary: "200 if lb lives and does not drain, else 503.",
			TCP: true, AnyHost: true, Media: "text/plain", Refused: []int{503}, serve: func(s *Server, c *call) { s.pass(s.o.Health, c) }},
		{Method: "GET", Path: "/readyz", Summary: "200 if lb takes requests and every pool has a backend that can be picked, else 503 and the pools that have none.",
			TCP: true, AnyHost: true, Media: "text/plain", Refused: []int{503}, serve: func(s *Server, c *call) { s.pass(s.o.Ready, c) }},
		{Method: "GET", Path: "/metrics", Summary: "Metrics for Prometheus.",
			TCP: true, AnyHost: true, Media: "text/plain", serve: func(s *Server, c *call) { s.pass(s.o.Metrics, c) }},
	}
}

// The messages, besides the types of api.
type (
	// Backends is the answer of GET /v1/backends.
	Backends struct {
		Pools []api.Pool `json:"pools"` // in the order of the configuration
	}
	// BackendChange is the body of POST /v1/backends.
	BackendChange struct {
		Pool    string     `json:"pool"`    // its name
		Address string     `json:"address"` // that of the configuration, in any spelling
		Action  api.Action `json:"action"`
		Weight  int        `json:"weight,omitempty"` // for the action weight: 1 to 65535, or 0 for that of the configuration
	}
	// Faults is the answer of GET /v1/faults.
	Faults struct {
		Faults []api.Exchange `json:"faults"` // the newest last
	}
	// Settings is the answer of GET /v1/config.
	Settings struct {
		Settings []api.Setting `json:"settings"`
	}
	// LogLevel is the answer of GET /v1/log, and the body and the answer of POST /v1/log.
	LogLevel struct {
		Level string `json:"level"` // debug, info, warn or error
	}
	// ReloadAsk is the body of POST /v1/reload.
	ReloadAsk struct {
		Plan bool `json:"plan,omitempty"` // change nothing, and say what would change
	}
	// UpgradeAsk is the body of POST /v1/upgrade.
	UpgradeAsk struct {
		Binary string `json:"binary,omitempty"` // path of the new program, on the socket only; "" is the path that lb was started from
	}
)

// byPath returns the endpoints of one side by their paths.
func byPath(tcp bool) map[string]map[string]*Endpoint {
	all := map[string]map[string]*Endpoint{}
	for i := range Endpoints {
		e := &Endpoints[i]
		if e.TCP && !tcp {
			continue
		}
		if all[e.Path] == nil {
			all[e.Path] = map[string]*Endpoint{}
		}
		if all[e.Path][e.Method] = e; e.Method == http.MethodGet {
			all[e.Path][http.MethodHead] = e
		}
	}
	return all
}
