package notice

import (
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/heads"
	"lb/internal/tlsfault"
	"lb/loop/tick"
	"lb/proxy/record"
	"lb/supervise/plan"
)

// desk is a board with one backend and two loops, and what was told about them.
type desk struct {
	t     *testing.T
	board *board.Board
	view  *plan.Snapshot
	now   tick.Instant
	out   strings.Builder
	*Notices
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, board: board.New(2, 2), now: tick.Instant(time.Hour)}
	d.view = snapshot("10.0.0.1", 0)
	d.begin()
	return d
}

// begin begins to tell about the board, as a new process does.
func (d *desk) begin() {
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(&d.out, &slog.HandlerOptions{ReplaceAttr: noTime}))
	d.Notices = New(Options{Board: d.board, View: func() *plan.Snapshot { return d.view }, Log: log, Now: func() tick.Instant { return d.now }})
}

func snapshot(host string, id int) *plan.Snapshot {
	cfg := &config.Config{Pools: []config.Pool{{Name: "default", Backends: []config.Backend{{Host: host, Port: 80}}}}}
	return &plan.Snapshot{Config: cfg, IDs: [][]int{{id}}}
}

// noon is the time of day when the clock of the board shows an hour.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// after lets time pass and looks; the lines have to be want.
func (d *desk) after(pass time.Duration, want ...string) {
	d.t.Helper()
	d.now = d.now.Add(pass)
	d.out.Reset()
	d.Look(noon.Add(d.now.Sub(tick.Instant(time.Hour))), false)
	if got := strings.TrimSpace(d.out.String()); got != strings.Join(want, "\n") {
		d.t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// refuse has the backend refuse n connections now, in a loop.
func (d *desk) refuse(loop, n int, errno syscall.Errno) {
	d.board.Backend(loop, d.view.IDs[0][0]).ConnectFaults.Add(uint64(n))
	d.board.State(d.view.IDs[0][0]).NoteFault(board.ReasonConnect, uint8(record.Dial), uint16(errno), int64(d.now))
}

// TestBackendFails: the first fault has a line at once, the next ones share one after ten
// seconds, over all loops; silence has none.
func TestBackendFails(t *testing.T) {
	d := newDesk(t)
	d.after(time.Second)
	d.refuse(0, 1, syscall.ECONNREFUSED)
	d.after(0, `level=WARN msg="backend fails" pool=default backend=10.0.0.1:80 cause=connect count=1 since=2026-01-02T12:00:01Z last="connection refused" mend="start the backend, or correct its address"`)
	d.refuse(0, 2, syscall.ECONNREFUSED)
	d.after(2 * time.Second)
	d.refuse(1, 5, syscall.EHOSTUNREACH)
	d.after(7 * time.Second)
	d.after(time.Second, `level=WARN msg="backend fails" pool=default backend=10.0.0.1:80 cause=connect count=7 since=2026-01-02T12:00:01Z last="no route to host" first="connection refused" mend="start the backend, or correct its address"`)
	d.after(time.Minute)
	d.board.State(0).StatusFaults.Add(1)
	d.board.State(0).NoteFault(board.ReasonStatus, 0, 503, int64(d.now))
	d.after(0, `level=WARN msg="backend fails" pool=default backend=10.0.0.1:80 cause=status count=1 since=2026-01-02T12:01:11Z last="status 503" mend="see the backend's log"`)
}

// TestOtherBackend: an ID that goes to another backend takes nothing along, and what was
// counted before a new process began is not told again.
func TestOtherBackend(t *testing.T) {
	d := newDesk(t)
	d.refuse(0, 9, syscall.ECONNREFUSED)
	d.begin()
	d.after(time.Second)
	d.board.Clear(0)
	d.view = snapshot("10.0.0.2", 0)
	d.refuse(0, 12, syscall.ECONNREFUSED)
	d.after(0, `level=WARN msg="backend fails" pool=default backend=10.0.0.2:80 cause=connect count=12 since=2026-01-02T12:00:01Z last="connection refused" mend="start the backend, or correct its address"`)
}

// TestRequestsRefused: one line for each kind, with the newest example, escaped.
func TestRequestsRefused(t *testing.T) {
	d := newDesk(t)
	kind := record.Fault{Cause: record.CauseBadRequest, Detail: uint16(httpparse.BareLF)}.Kind(400)
	d.board.Refusals(0).Note(kind, int64(d.now), []byte("10.0.0.7"), "bare LF", []byte("GET /\x1b[2J"))
	d.board.Refusals(1).Note(kind, int64(d.now)-1, []byte("10.0.0.8"), "bare LF", nil)
	d.board.Refusals(1).Note(503, int64(d.now), []byte("10.0.0.9"), "all backends are busy", nil)
	d.after(0,
		`level=WARN msg="requests refused" status=503 reason="all backends are busy" count=1 since=2026-01-02T12:00:00Z client=10.0.0.9 mend="lb status shows the pool, lb faults such requests"`,
		`level=INFO msg="requests refused" status=400 reason="bare LF" count=2 since=2026-01-02T12:00:00Z client=10.0.0.7 request="GET /\x1b[2J"`)
	d.board.Refusals(1).Note(503, int64(d.now), []byte("10.0.0.9"), "all backends are busy", nil)
	d.after(9 * time.Second)
	d.after(time.Second, `level=WARN msg="requests refused" status=503 reason="all backends are busy" count=1 since=2026-01-02T12:00:09Z client=10.0.0.9 mend="lb status shows the pool, lb faults such requests"`)
}

// TestFloods: one line for each kind of flood, with the client that came last.
func TestFloods(t *testing.T) {
	d := newDesk(t)
	for loop, client := range []string{"10.0.0.7", "10.0.0.8"} {
		d.board.Refusals(loop).Note(board.FloodKind(1), int64(d.now)+int64(loop), []byte(client), "resets", nil)
	}
	d.board.Refusals(1).Note(board.FloodKind(8), int64(d.now), []byte("10.0.0.9"), "pings", nil)
	d.after(0,
		`level=WARN msg="connections cut off for a flood" kind=resets count=2 since=2026-01-02T12:00:00Z client=10.0.0.8 mend="if the client is a good one, see docs/http2.md"`,
		`level=WARN msg="connections cut off for a flood" kind=pings count=1 since=2026-01-02T12:00:00Z client=10.0.0.9 mend="if the client is a good one, see docs/http2.md"`)
}

// TestPreambles: one line for each reason why conns were closed for their PROXY header.
func TestPreambles(t *testing.T) {
	d := newDesk(t)
	for loop, client := range []string{"10.0.0.7", "10.0.0.8"} {
		d.board.Refusals(loop).Note(board.PreambleKind(board.PreambleUntrusted), int64(d.now)+int64(loop), []byte(client), "its address is not in trusted_proxies", nil)
	}
	d.after(0, `level=WARN msg="connections refused for their PROXY header" reason="its address is not in trusted_proxies" count=2 since=2026-01-02T12:00:00Z client=10.0.0.8 mend="if it is your load balancer, add its address to trusted_proxies; clients have to use another listener"`)
}

// TestHandshakes: one line for each way in which handshakes with clients come to nothing; what
// lb refuses itself is a warning.
func TestHandshakes(t *testing.T) {
	d := newDesk(t)
	for loop, client := range []string{"10.0.0.7", "10.0.0.8"} {
		d.board.Refusals(loop).Note(board.HandshakeKind(board.HandshakeFailed), int64(d.now)+int64(loop), []byte(client), "remote error: tls: unknown certificate authority", nil)
	}
	d.board.Refusals(1).Note(board.HandshakeKind(board.HandshakeRefused), int64(d.now), []byte("10.0.0.9"), "there is no certificate yet", nil)
	d.after(0,
		`level=INFO msg="tls handshakes failed" reason="remote error: tls: unknown certificate authority" count=2 since=2026-01-02T12:00:00Z client=10.0.0.8`,
		`level=WARN msg="tls handshakes refused" reason="there is no certificate yet" count=1 since=2026-01-02T12:00:00Z client=10.0.0.9 mend="see the certificates in lb status; for more handshakes at once, add workers"`)
}

// TestSinceIsPast: since is the second in which a fault came, not the next one.
func TestSinceIsPast(t *testing.T) {
	d := newDesk(t)
	d.after(900 * time.Millisecond)
	d.refuse(0, 1, syscall.ECONNREFUSED)
	d.after(0, `level=WARN msg="backend fails" pool=default backend=10.0.0.1:80 cause=connect count=1 since=2026-01-02T12:00:00Z last="connection refused" mend="start the backend, or correct its address"`)
}

// TestWords: each fault that can be has words of its own.
func overH2(d record.HTTP2Detail, number uint32) uint16 {
	return record.ByHTTP2(record.CauseReset, d, number).Detail
}

func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range []board.LastFault{
		{Why: board.ReasonConnect},
		{Why: board.ReasonConnect, Detail: uint16(syscall.ECONNREFUSED)},
		{Why: board.ReasonTimeout, Phase: uint8(record.Dial)},
		{Why: board.ReasonTimeout, Phase: uint8(record.Send)},
		{Why: board.ReasonTimeout, Phase: uint8(record.Wait)},
		{Why: board.ReasonTimeout, Phase: uint8(record.Relay)},
		{Why: board.ReasonReset, Phase: uint8(record.Send)},
		{Why: board.ReasonReset, Phase: uint8(record.Wait)},
		{Why: board.ReasonReset, Phase: uint8(record.Relay), Detail: uint16(syscall.ECONNRESET)},
		{Why: board.ReasonBadAnswer},
		{Why: board.ReasonBadAnswer, Detail: uint16(httpparse.BareCR)},
		{Why: board.ReasonBadAnswer, Detail: 250}, // of another binary
		{Why: board.ReasonReset, Phase: uint8(record.Wait), Detail: overH2(record.StreamReset, uint32(h2.RefusedStream))},
		{Why: board.ReasonReset, Phase: uint8(record.Relay), Detail: overH2(record.StreamReset, 1<<20)}, // of no RFC
		{Why: board.ReasonReset, Phase: uint8(record.Wait), Detail: overH2(record.ConnEnded, uint32(h2.EnhanceYourCalm))},
		{Why: board.ReasonBadAnswer, Detail: overH2(record.Broken, uint32(h2.CompressionError))},
		{Why: board.ReasonBadAnswer, Detail: overH2(record.Flooded, uint32(h2.FloodPings))},
		{Why: board.ReasonBadAnswer, Detail: overH2(record.Flooded, 99)}, // of another binary
		{Why: board.ReasonBadAnswer, Detail: overH2(record.NoHTTP2, 0)},
		{Why: board.ReasonBadAnswer, Detail: overH2(record.Malformed, uint32(heads.BadStatus))},
		{Why: board.ReasonBadAnswer, Detail: overH2(record.Malformed, 200)}, // of another binary
		{Why: board.ReasonStatus, Detail: 503},
		{Why: board.ReasonTLSName, Detail: uint16(tlsfault.WrongName)},
		{Why: board.ReasonTLS, Detail: 999}, // of another binary
	} {
		words := Words(f)
		if words == "" || seen[words] {
			t.Errorf("%+v: %q", f, words)
		}
		seen[words] = true
	}
}
