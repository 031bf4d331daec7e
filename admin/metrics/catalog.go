package metrics

import (
	"lb/board"
	"lb/httpparse/h2"
)

// This file lists the metrics that are read from the board: names, help and labels,
// each beside the word of the board that it shows.

var controlMetrics = []controlMetric{
	control("lb_loops", "Event loops that run, each of which is a thread or a worker process; those that drain included.", gauge,
		func(b *board.Board, _ View, _ *board.LoopTotals) float64 { return float64(loopsRunning(b)) }),
	control("lb_start_timestamp_seconds", "When lb started, before any upgrade, in seconds since 1970.", gauge,
		func(b *board.Board, _ View, _ *board.LoopTotals) float64 {
			return float64(b.Control().StartedAt.Load()) / 1e9
		}),
	control("lb_config_number", "Number of the configuration in use, counted from 1, upgrades included.", gauge,
		func(_ *board.Board, v View, _ *board.LoopTotals) float64 { return float64(v.Number) }),
	controlCounter("lb_reloads_total", "Configurations that were taken up after the first.",
		func(c *board.Control) *board.Counter { return &c.Reloads }),
	controlCounter("lb_reload_faults_total", "Reloads that were refused, or not taken up by every loop.",
		func(c *board.Control) *board.Counter { return &c.ReloadFaults }),
	controlCounter("lb_upgrades_total", "Upgrades that ended with the new binary serving.",
		func(c *board.Control) *board.Counter { return &c.Upgrades }),
	control("lb_access_log_lost_total", "Lines of the access log that were not written, because the loop's buffer was full or the writer failed.", counter,
		func(b *board.Board, _ View, t *board.LoopTotals) float64 {
			return float64(t.LogLost + b.Control().LogWriteLost.Load())
		}),
	control("lb_spans_lost_total", "Spans of sampled traces that were not exported: not taken from the loops in time, or refused by tracing.endpoint.", counter,
		func(b *board.Board, _ View, _ *board.LoopTotals) float64 {
			return float64(b.Control().SpansLost.Load())
		}),
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
		family: family{"lb_bytes_total",
			"Bytes received by lb (in) and sent by it (out), by the side they were exchanged with.", counter},
		series: []loopSeries{
			{labels("direction", "in", "side", "client"), func(t *board.LoopTotals) uint64 { return t.BytesFromClient }},
			{labels("direction", "out", "side", "client"), func(t *board.LoopTotals) uint64 { return t.BytesToClient }},
			{labels("direction", "in", "side", "backend"), func(t *board.LoopTotals) uint64 { return t.BytesFromBackend }},
			{labels("direction", "out", "side", "backend"), func(t *board.LoopTotals) uint64 { return t.BytesToBackend }},
		},
	},
	{
		family: family{"lb_handshakes_total",
			"TLS handshakes with clients that have ended, by how: with a whole key exchange (full), by a ticket (resumed), failed, refused because too many waited or lb had no certificate, or ended by timeouts.handshake.", counter},
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
	loopCounter("lb_access_log_lines_total", "Lines of the access log that loops have handed to its writer.",
		func(t *board.LoopTotals) uint64 { return t.LogLines }),
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
	m := loopMetric{family: family{"lb_http2_floods_total",
		"Connections from clients by HTTP/2 that lb ended with ENHANCE_YOUR_CALM, by the budget that was used up.", counter}}
	for _, b := range h2.Budgets() {
		m.series = append(m.series, loopSeries{labels("kind", b.String()), func(t *board.LoopTotals) uint64 { return t.HTTP2Floods[b] }})
	}
	return m
}

// handshakes is the series of one end of handshakes.
func handshakes(result string, end board.Handshake) loopSeries {
	return loopSeries{labels("result", result), func(t *board.LoopTotals) uint64 { return t.Handshakes[end] }}
}

var handshakeSeconds = family{"lb_handshake_seconds",
	"How long TLS handshakes with clients took that succeeded, from the first byte of the client.", histogram}

var backendFaults = family{"lb_backend_faults_total",
	"Attempts that failed by the backend's doing, by cause: not connected, reset, too late, an answer that is not HTTP, or one whose status counts as a fault; in TLS: its name, its chain, its dates, its version, anything else.", counter}

// statusCause and tlsCauses, by board.TLSReasons, are the causes of backendFaults that are
// read from the state of the backend.
var (
	statusCause = newLabel("cause", "status")
	tlsCauses   = func() (list []label) {
		for _, why := range board.TLSReasons {
			list = append(list, newLabel("cause", why.String()))
		}
		return list
	}()
)

var backendMetrics = []backendMetric{
	backendOne("lb_backend_attempts_in_flight", "Attempts at a backend that have not ended.", gauge,
		func(t *board.BackendTotals) uint64 { return t.InFlight }),
	backendOne("lb_backend_attempts_total", "Attempts at a backend, retries included.", counter,
		func(t *board.BackendTotals) uint64 { return t.Attempts }),
	backendByClass("lb_requests_total",
		"Requests that a backend answered, by the status class of its final response; retries and lb's own replies are left out.",
		func(t *board.BackendTotals) *[4]uint64 { return &t.Replies }),
	backendOne("lb_backend_connects_total", "Connections dialled to a backend.", counter,
		func(t *board.BackendTotals) uint64 { return t.Conns }),
	{
		family: backendFaults, // and those causes that are words of the state
		series: []backendSeries{
			{newLabel("cause", "connect"), func(t *board.BackendTotals) uint64 { return t.ConnectFaults }},
			{newLabel("cause", "reset"), func(t *board.BackendTotals) uint64 { return t.ResetFaults }},
			{newLabel("cause", "timeout"), func(t *board.BackendTotals) uint64 { return t.TimeoutFaults }},
			{newLabel("cause", "bad_answer"), func(t *board.BackendTotals) uint64 { return t.BadAnswers }},
		},
	},
	{
		family: family{"lb_backend_bytes_total", "Bytes received from a backend (in) and sent to it (out).", counter},
		series: []backendSeries{
			{newLabel("direction", "in"), func(t *board.BackendTotals) uint64 { return t.BytesFrom }},
			{newLabel("direction", "out"), func(t *board.BackendTotals) uint64 { return t.BytesTo }},
		},
	},
}

// poolMetrics are added up over the backends of each pool.
var poolMetrics = []poolMetric{
	{
		family: family{"lb_own_replies_total",
			"Responses that lb made itself, mostly errors, by status class and pool; the pool is empty where none was chosen.", counter},
		series: []poolSeries{
			{newLabel("code", "4xx"), func(s *board.State, _ *board.BackendTotals) uint64 { return s.Own[0].Load() }},
			{newLabel("code", "5xx"), func(s *board.State, _ *board.BackendTotals) uint64 { return s.Own[1].Load() }},
		},
		poolless: func(t *board.LoopTotals) *[6]uint64 { return &t.PoolLess },
	},
	{
		family: family{"lb_queued_requests", "Requests that wait for room at a backend of the pool.", gauge},
		series: []poolSeries{
			{label{}, func(_ *board.State, t *board.BackendTotals) uint64 { return t.Queued }},
		},
	},
}

// stateMetrics are read from the state of a backend, which all loops share.
var stateMetrics = []stateMetric{
	{family{"lb_backend_up", "0 while active checks find the backend down, else 1: also while nothing is known, or nothing checked.", gauge}, isUp},
	{family{"lb_backend_ejected", "1 while the backend is ejected for its faults, else 0.", gauge}, isEjected},
	{family{"lb_backend_leaving", "1 while the backend gets no new clients because it has asked for that, else 0.", gauge}, isLeaving},
	{family{"lb_backend_state_changed_timestamp_seconds", "When the backend last went up, down, was ejected or came back, in seconds since 1970; 0 for never.", gauge}, changedAt},
}

func isUp(s *board.State, _ moment) float64 {
	if board.Health(s.Health.Load()) == board.Down {
		return 0
	}
	return 1
}

// adminStates has, for each state, its label.
var adminStates = [...]label{
	board.Enabled: newLabel("state", "enabled"), board.Draining: newLabel("state", "draining"), board.Disabled: newLabel("state", "disabled"),
}

const adminStateHelp = "1 for what an operator or the configuration has decided about the backend, 0 for the other states: enabled, draining (no new clients) or disabled."

var adminState = family{"lb_backend_admin_state", adminStateHelp, gauge}

// isEjected reads the time of an ejection, because no loop may have noticed its end yet.
func isEjected(s *board.State, now moment) float64 {
	if int64(s.EjectedUntil.Load()) > now.board {
		return 1
	}
	return 0
}

func isLeaving(s *board.State, now moment) float64 {
	if int64(s.LeavingUntil.Load()) > now.board {
		return 1
	}
	return 0
}

// failOpen is a metric by pool.
var failOpen = family{"lb_pool_fail_open", "1 while so many backends of the pool are down that all are used as if they were up (health.panic), else 0.", gauge}

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
var classes = [6]label{1: newLabel("code", "1xx"), 2: newLabel("code", "2xx"), 3: newLabel("code", "3xx"),
	4: newLabel("code", "4xx"), 5: newLabel("code", "5xx")}

// noPool is the label of what belongs to no pool.
var noPool = newLabel("pool", "")

// labels returns the labels of pairs of names and values.
func labels(pairs ...string) (list []label) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, newLabel(pairs[i], pairs[i+1]))
	}
	return list
}

func control(name, help string, k kind, value func(*board.Board, View, *board.LoopTotals) float64) controlMetric {
	return controlMetric{family{name, help, k}, value}
}

func controlCounter(name, help string, word func(*board.Control) *board.Counter) controlMetric {
	return control(name, help, counter,
		func(b *board.Board, _ View, _ *board.LoopTotals) float64 { return float64(word(b.Control()).Load()) })
}

func loopGauge(name, help string, value func(*board.LoopTotals) uint64) loopMetric {
	return loopMetric{family{name, help, gauge}, []loopSeries{{nil, value}}}
}

func loopCounter(name, help string, value func(*board.LoopTotals) uint64) loopMetric {
	return loopMetric{family{name, help, counter}, []loopSeries{{nil, value}}}
}

func loopByClass(name, help string, row func(*board.LoopTotals) *[6]uint64) loopMetric {
	m := loopMetric{family: family{name, help, counter}}
	for class := 1; class < len(classes); class++ {
		value := func(t *board.LoopTotals) uint64 { return row(t)[class] }
		m.series = append(m.series, loopSeries{classes[class : class+1], value})
	}
	return m
}

func backendOne(name, help string, k kind, value func(*board.BackendTotals) uint64) backendMetric {
	return backendMetric{family{name, help, k}, []backendSeries{{label{}, value}}}
}

// backendByClass has no series for 1xx, which are no final responses.
func backendByClass(name, help string, row func(*board.BackendTotals) *[4]uint64) backendMetric {
	m := backendMetric{family: family{name, help, counter}}
	for class := 2; class < len(classes); class++ {
		value := func(t *board.BackendTotals) uint64 { return row(t)[class-2] }
		m.series = append(m.series, backendSeries{classes[class], value})
	}
	return m
}
