package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"lb/board"
	"lb/httpparse/h2"
)

// This file lists the metrics that are read from the board: names, help and labels,
// each beside the word of the board that it shows.

var controlMetrics = []controlMetric{
	control("lb_loops", "Event loops that run, each of which is a thread or a worker process; those that drain included.", prometheus.GaugeValue,
		func(b *board.Board, _ View) float64 { return float64(loopsRunning(b)) }),
	control("lb_start_timestamp_seconds", "When lb started, before any upgrade, in seconds since 1970.", prometheus.GaugeValue,
		func(b *board.Board, _ View) float64 { return float64(b.Control().StartedAt.Load()) / 1e9 }),
	control("lb_config_number", "Number of the configuration in use, counted from 1, upgrades included.", prometheus.GaugeValue,
		func(_ *board.Board, v View) float64 { return float64(v.Number) }),
	controlCounter("lb_reloads_total", "Configurations that were taken up after the first.",
		func(c *board.Control) *board.Counter { return &c.Reloads }),
	controlCounter("lb_reload_faults_total", "Reloads that were refused, or not taken up by every loop.",
		func(c *board.Control) *board.Counter { return &c.ReloadFaults }),
	controlCounter("lb_upgrades_total", "Upgrades that ended with the new binary serving.",
		func(c *board.Control) *board.Counter { return &c.Upgrades }),
	controlCounter("lb_worker_restarts_total", "Worker processes started in the place of one that ended.",
		func(c *board.Control) *board.Counter { return &c.WorkerRestarts }),
}

// loopsRunning returns how many slots of the board have a loop.
func loopsRunning(b *board.Board) (n int) {
	for i := range b.Loops() {
		if b.Loop(i).OldestConfig.Load() != 0 {
			n++
		}
	}
	return n
}

var loopMetrics = []loopMetric{
	loopGauge("lb_client_connections", "Open connections from clients.",
		func(t *board.LoopTotals) uint64 { return t.ClientConns }),
	loopGauge("lb_backend_connections", "Open connections to backends, idle ones included.",
		func(t *board.LoopTotals) uint64 { return t.BackendConns }),
	loopGauge("lb_backend_idle_connections", "Connections to backends that wait for reuse.",
		func(t *board.LoopTotals) uint64 { return t.BackendIdle }),
	loopGauge("lb_exchanges", "Requests that are being answered.",
		func(t *board.LoopTotals) uint64 { return t.Exchanges }),
	loopGauge("lb_tunnels", "Upgraded connections, such as WebSockets.",
		func(t *board.LoopTotals) uint64 { return t.Tunnels }),

	loopCounter("lb_client_connections_accepted_total", "Connections accepted from clients.",
		func(t *board.LoopTotals) uint64 { return t.Accepted }),
	loopCounter("lb_accept_errors_total", "Attempts to accept a connection that failed.",
		func(t *board.LoopTotals) uint64 { return t.AcceptErrors }),
	loopCounter("lb_client_requests_total", "Requests from clients whose whole head was read.",
		func(t *board.LoopTotals) uint64 { return t.Requests }),
	loopByClass("lb_replies_total",
		"Responses sent to clients, lb's own included, by status class.",
		func(t *board.LoopTotals) *[6]uint64 { return &t.Replies }),
	{
		desc: prometheus.NewDesc("lb_bytes_total",
			"Bytes received by lb (in) and sent by it (out), by the side they were exchanged with.",
			[]string{"side", "direction"}, nil),
		kind: prometheus.CounterValue,
		series: []loopSeries{
			{[]string{"client", "in"}, func(t *board.LoopTotals) uint64 { return t.BytesFromClient }},
			{[]string{"client", "out"}, func(t *board.LoopTotals) uint64 { return t.BytesToClient }},
			{[]string{"backend", "in"}, func(t *board.LoopTotals) uint64 { return t.BytesFromBackend }},
			{[]string{"backend", "out"}, func(t *board.LoopTotals) uint64 { return t.BytesToBackend }},
		},
	},
	{
		desc: prometheus.NewDesc("lb_handshakes_total",
			"TLS handshakes with clients that have ended, by how: with a whole key exchange (full), by a ticket (resumed), failed, refused because too many waited or lb had no certificate, or ended by timeouts.handshake.",
			[]string{"result"}, nil),
		kind: prometheus.CounterValue,
		series: []loopSeries{
			handshakes("full", board.HandshakeFull), handshakes("resumed", board.HandshakeResumed),
			handshakes("failed", board.HandshakeFailed), handshakes("refused", board.HandshakeRefused),
			handshakes("timeout", board.HandshakeLate),
		},
	},
	loopGauge("lb_http2_client_connections", "Open connections from clients that speak HTTP/2, a part of lb_client_connections.",
		func(t *board.LoopTotals) uint64 { return t.HTTP2Conns }),
	loopGauge("lb_http2_backend_connections", "Open connections to backends that speak HTTP/2, a part of lb_backend_connections.",
		func(t *board.LoopTotals) uint64 { return t.HTTP2BackendConns }),
	loopCounter("lb_http2_requests_total", "Requests from clients that came by HTTP/2, a part of lb_client_requests_total.",
		func(t *board.LoopTotals) uint64 { return t.HTTP2Requests }),
	loopCounter("lb_http2_refused_streams_total", "Streams of clients that lb refused, because there were more than http2.streams or lb was about to close the connection.",
		func(t *board.LoopTotals) uint64 { return t.HTTP2Refused }),
	http2Floods(),
	loopCounter("lb_http2_goaways_total", "GOAWAY frames of backends.",
		func(t *board.LoopTotals) uint64 { return t.HTTP2Goaways }),
	loopCounter("lb_http2_unprocessed_streams_total", "Streams to backends that these refused, or left out in a GOAWAY: requests that may be sent again.",
		func(t *board.LoopTotals) uint64 { return t.HTTP2Unprocessed }),
	loopCounter("lb_retries_total", "Attempts that followed a failed attempt at the same request.",
		func(t *board.LoopTotals) uint64 { return t.Retries }),
	loopCounter("lb_unrouted_requests_total", "Requests answered with 404, because no route takes them and the default pool has no backends.",
		func(t *board.LoopTotals) uint64 { return t.Unrouted }),
	loopCounter("lb_client_aborts_total", "Requests whose client went away before its answer was complete.",
		func(t *board.LoopTotals) uint64 { return t.ClientAborts }),
	loopCounter("lb_panics_total", "Panics caught in an event loop; each cost one connection.",
		func(t *board.LoopTotals) uint64 { return t.Panics }),
	loopCounter("lb_loop_turns_total", "Turns of the event loops.",
		func(t *board.LoopTotals) uint64 { return t.Turns }),
}

// http2Floods has a series for each kind of flood.
func http2Floods() loopMetric {
	m := loopMetric{desc: prometheus.NewDesc("lb_http2_floods_total",
		"Connections from clients by HTTP/2 that lb ended with ENHANCE_YOUR_CALM, by the budget that was used up.",
		[]string{"kind"}, nil), kind: prometheus.CounterValue}
	for _, b := range h2.Budgets() {
		m.series = append(m.series, loopSeries{[]string{b.String()}, func(t *board.LoopTotals) uint64 { return t.HTTP2Floods[b] }})
	}
	return m
}

// handshakes is the series of one end of handshakes.
func handshakes(result string, end board.Handshake) loopSeries {
	return loopSeries{[]string{result}, func(t *board.LoopTotals) uint64 { return t.Handshakes[end] }}
}

var handshakeSeconds = prometheus.NewDesc("lb_handshake_seconds",
	"How long TLS handshakes with clients took that succeeded, from the first byte of the client.", nil, nil)

// handshakeTimes is the histogram handshakeSeconds.
func handshakeTimes(t *board.LoopTotals) prometheus.Metric {
	count, buckets := uint64(0), make(map[float64]uint64, len(board.HandshakeBounds))
	for i, n := range t.HandshakeTimes {
		if count += n; i < len(board.HandshakeBounds) {
			buckets[board.HandshakeBounds[i].Seconds()] = count
		}
	}
	return prometheus.MustNewConstHistogram(handshakeSeconds, count, float64(t.HandshakeNanos)/1e9, buckets)
}

var backendFaults = backendDesc("lb_backend_faults_total",
	"Attempts that failed by the backend's doing, by cause: not connected, reset, too late, an answer that is not HTTP, or one whose status counts as a fault; in TLS: its name, its chain, its dates, its version, anything else.",
	"cause")

// statusCause is the cause of backendFaults that is read from the state of the backend.
const statusCause = "status"

var backendMetrics = []backendMetric{
	backendOne("lb_backend_attempts_in_flight", "Attempts at a backend that have not ended.", prometheus.GaugeValue,
		func(t *board.BackendTotals) uint64 { return t.InFlight }),
	backendOne("lb_backend_attempts_total", "Attempts at a backend, retries included.", prometheus.CounterValue,
		func(t *board.BackendTotals) uint64 { return t.Attempts }),
	backendByClass("lb_requests_total",
		"Requests that a backend answered, by the status class of its final response; retries and lb's own replies are left out.",
		func(t *board.BackendTotals) *[4]uint64 { return &t.Replies }),
	backendOne("lb_backend_connects_total", "Connections dialled to a backend.", prometheus.CounterValue,
		func(t *board.BackendTotals) uint64 { return t.Conns }),
	{
		desc: backendFaults, // and those causes that are words of the state
		kind: prometheus.CounterValue,
		series: []backendSeries{
			{[]string{"connect"}, func(t *board.BackendTotals) uint64 { return t.ConnectFaults }},
			{[]string{"reset"}, func(t *board.BackendTotals) uint64 { return t.ResetFaults }},
			{[]string{"timeout"}, func(t *board.BackendTotals) uint64 { return t.TimeoutFaults }},
			{[]string{"bad_answer"}, func(t *board.BackendTotals) uint64 { return t.BadAnswers }},
		},
	},
	{
		desc: backendDesc("lb_backend_bytes_total",
			"Bytes received from a backend (in) and sent to it (out).", "direction"),
		kind: prometheus.CounterValue,
		series: []backendSeries{
			{[]string{"in"}, func(t *board.BackendTotals) uint64 { return t.BytesFrom }},
			{[]string{"out"}, func(t *board.BackendTotals) uint64 { return t.BytesTo }},
		},
	},
}

// poolMetrics are added up over the backends of each pool.
var poolMetrics = []poolMetric{
	{
		desc: poolDesc("lb_own_replies_total",
			"Responses that lb made itself, mostly errors, by status class and pool; the pool is empty where none was chosen.", "code"),
		kind: prometheus.CounterValue,
		series: []poolSeries{
			{[]string{"4xx"}, func(s *board.State, _ *board.BackendTotals) uint64 { return s.Own[0].Load() }},
			{[]string{"5xx"}, func(s *board.State, _ *board.BackendTotals) uint64 { return s.Own[1].Load() }},
		},
		poolless: func(t *board.LoopTotals) *[6]uint64 { return &t.PoolLess },
	},
	{
		desc: poolDesc("lb_queued_requests", "Requests that wait for room at a backend of the pool."),
		kind: prometheus.GaugeValue,
		series: []poolSeries{
			{nil, func(_ *board.State, t *board.BackendTotals) uint64 { return t.Queued }},
		},
	},
}

// stateMetrics are read from the state of a backend, which all loops share.
var stateMetrics = []stateMetric{
	{backendDesc("lb_backend_up", "0 while active checks find the backend down, else 1: also while nothing is known, or nothing checked."), isUp},
	{backendDesc("lb_backend_ejected", "1 while the backend is ejected for its faults, else 0."), isEjected},
	{backendDesc("lb_backend_state_changed_timestamp_seconds",
		"When the backend last went up, down, was ejected or came back, in seconds since 1970; 0 for never."), changedAt},
}

func isUp(s *board.State, _ moment) float64 {
	if board.Health(s.Health.Load()) == board.Down {
		return 0
	}
	return 1
}

// adminStates are the values of the label state, each with the state that it stands for.
var adminStates = map[string]board.Admin{"enabled": board.Enabled, "draining": board.Draining, "disabled": board.Disabled}

const adminStateHelp = "1 for what an operator or the configuration has decided about the backend, 0 for the other states: enabled, draining (no new clients) or disabled."

var adminState = backendDesc("lb_backend_admin_state", adminStateHelp, "state")

// isEjected reads the time of an ejection, because no loop may have noticed its end yet.
func isEjected(s *board.State, now moment) float64 {
	if int64(s.EjectedUntil.Load()) > now.board {
		return 1
	}
	return 0
}

func changedAt(s *board.State, now moment) float64 {
	last := max(s.HealthSince.Load(), s.EjectedSince.Load(), s.RecoveredAt.Load())
	if end := s.EjectedLast.Load(); int64(end) <= now.board {
		last = max(last, end)
	}
	if last == 0 {
		return 0
	}
	return float64(board.Wall(last, now.board, now.wall).UnixMilli()) / 1e3
}

// classes are the values of the label code, by index in a [6] of the board.
var classes = [6]string{1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}

func control(name, help string, kind prometheus.ValueType, value func(*board.Board, View) float64) controlMetric {
	return controlMetric{prometheus.NewDesc(name, help, nil, nil), kind, value}
}

func controlCounter(name, help string, word func(*board.Control) *board.Counter) controlMetric {
	return control(name, help, prometheus.CounterValue,
		func(b *board.Board, _ View) float64 { return float64(word(b.Control()).Load()) })
}

func loopGauge(name, help string, value func(*board.LoopTotals) uint64) loopMetric {
	return loopMetric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, []loopSeries{{nil, value}}}
}

func loopCounter(name, help string, value func(*board.LoopTotals) uint64) loopMetric {
	return loopMetric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, []loopSeries{{nil, value}}}
}

func loopByClass(name, help string, row func(*board.LoopTotals) *[6]uint64) loopMetric {
	m := loopMetric{desc: prometheus.NewDesc(name, help, []string{"code"}, nil), kind: prometheus.CounterValue}
	for class := 1; class < len(classes); class++ {
		value := func(t *board.LoopTotals) uint64 { return row(t)[class] }
		m.series = append(m.series, loopSeries{[]string{classes[class]}, value})
	}
	return m
}

func backendDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"pool", "backend"}, labels...), nil)
}

func poolDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"pool"}, labels...), nil)
}

func backendOne(name, help string, kind prometheus.ValueType, value func(*board.BackendTotals) uint64) backendMetric {
	return backendMetric{backendDesc(name, help), kind, []backendSeries{{nil, value}}}
}

// backendByClass has no series for 1xx, which are no final responses.
func backendByClass(name, help string, row func(*board.BackendTotals) *[4]uint64) backendMetric {
	m := backendMetric{desc: backendDesc(name, help, "code"), kind: prometheus.CounterValue}
	for class := 2; class < len(classes); class++ {
		value := func(t *board.BackendTotals) uint64 { return row(t)[class-2] }
		m.series = append(m.series, backendSeries{[]string{classes[class]}, value})
	}
	return m
}
