package deadline

import (
	"testing"
	"time"

	"lb/arena"
	"lb/config"
	"lb/loop/tick"
	"lb/proxy/lane"
	"lb/proxy/record"
)

// The times of every case: when the phase began, and when bytes last moved.
const (
	since = tick.Instant(100)
	up    = tick.Instant(110)
	down  = tick.Instant(120)
)

// timeouts are all different.
var timeouts = config.Timeouts{Queue: 1, Connect: 2, Response: 3, ClientWrite: 4, ClientBody: 5,
	BackendWrite: 6, BackendBody: 7, TunnelIdle: 9, TunnelHalfClosed: 8}

// laneIs says what is put into a lane.
type laneIs struct {
	full    bool // bytes are to be written
	blocked bool
	whole   bool
}

// of returns such a lane, whose bytes last moved at a time.
func (is laneIs) of(a *arena.Arena, at tick.Instant) *lane.Lane {
	ln := &lane.Lane{Progress: at, Blocked: is.blocked, Whole: is.whole}
	if is.full {
		ln.SetHead(append(ln.Restart(a, 1), 'x'), 1)
	}
	return ln
}

func TestOwed(t *testing.T) {
	none, full, blocked, whole := laneIs{}, laneIs{full: true}, laneIs{blocked: true}, laneIs{whole: true}
	const noSide, client, backend, lb = record.NoSide, record.ClientSide, record.BackendSide, record.LBSide
	for _, tc := range []struct {
		name     string
		c        Case
		up, down laneIs
		side     record.Side
		from     tick.Instant
		limit    time.Duration
	}{
		{"room", Case{Phase: record.Pick}, none, none, lb, since, timeouts.Queue},
		{"pause", Case{Phase: record.Pick, Pause: 77}, none, none, noSide, since, 77},
		{"connect", Case{Phase: record.Dial, Conn: true}, none, none, backend, since, timeouts.Connect},
		{"knock", Case{Phase: record.Dial, Pause: 1}, none, none, lb, since, 1},
		{"last knock", Case{Phase: record.Dial, Pause: 77}, none, none, lb, since, timeouts.Connect},

		{"request", Case{Phase: record.Send}, none, whole, client, up, timeouts.ClientBody},
		{"request held back", Case{Phase: record.Send, Expecting: true}, none, none, noSide, since, timeouts.Response},
		{"request not taken", Case{Phase: record.Send, Expecting: true}, full, full, backend, up, timeouts.BackendWrite},
		{"body not taken", Case{Phase: record.Send}, blocked, none, backend, up, timeouts.BackendWrite},

		{"head", Case{Phase: record.Wait}, none, none, backend, since, timeouts.Response},
		{"1xx not taken", Case{Phase: record.Wait}, none, full, client, down, timeouts.ClientWrite},

		{"answer", Case{Phase: record.Relay}, full, none, backend, down, timeouts.BackendBody},
		{"answer not taken", Case{Phase: record.Relay}, full, full, client, down, timeouts.ClientWrite},
		{"body of the answer not taken", Case{Phase: record.Relay}, none, blocked, client, down, timeouts.ClientWrite},
		{"request after the answer", Case{Phase: record.Relay}, none, whole, client, up, timeouts.ClientBody},
		{"request after the answer not taken", Case{Phase: record.Relay}, full, whole, backend, up, timeouts.BackendWrite},

		{"call of a client that waits", Case{Phase: record.Wait, Call: true, Timed: true}, none, none, backend, since, timeouts.TunnelIdle},
		{"call", Case{Phase: record.Wait, Call: true}, none, none, backend, since, timeouts.Response},
		{"message to the backend", Case{Phase: record.Send, Call: true}, none, none, noSide, down, timeouts.TunnelIdle},
		{"message to the client", Case{Phase: record.Relay, Call: true}, full, none, noSide, down, timeouts.TunnelIdle},
		{"message after the answer", Case{Phase: record.Relay, Call: true}, none, whole, noSide, down, timeouts.TunnelIdle},
		{"message not taken", Case{Phase: record.Send, Call: true}, full, none, backend, up, timeouts.BackendWrite},
		{"message of the answer not taken", Case{Phase: record.Relay, Call: true, Timed: true}, none, full, client, down, timeouts.ClientWrite},

		{"tunnel", Case{Phase: record.Relay, Tunnel: true}, full, full, client, down, timeouts.TunnelIdle},
		{"half a tunnel", Case{Phase: record.Relay, Tunnel: true, HalfClosed: true}, none, whole, client, down, timeouts.TunnelHalfClosed},
		{"request of a tunnel", Case{Phase: record.Relay, Tunnel: true, Opening: true}, none, full, client, up, timeouts.ClientBody},
		{"request of a tunnel not taken", Case{Phase: record.Relay, Tunnel: true, Opening: true}, full, none, backend, up, timeouts.BackendWrite},
	} {
		a := arena.New(lane.SlabBytes, lane.LargeBytes(0, 0))
		tc.c.Since, tc.c.Up, tc.c.Down = since, tc.up.of(a, up), tc.down.of(a, down)
		if side, from, limit := Owed(&timeouts, &tc.c); side != tc.side || from != tc.from || limit != tc.limit {
			t.Errorf("%s: %q since %d for %d, want %q since %d for %d", tc.name, side, from, limit, tc.side, tc.from, tc.limit)
		}
	}
}

// TestCall: a message either way counts.
func TestCall(t *testing.T) {
	c := Case{Phase: record.Relay, Call: true, Up: &lane.Lane{Progress: down + 1}, Down: &lane.Lane{Progress: down}}
	if _, from, _ := Owed(&timeouts, &c); from != down+1 {
		t.Errorf("since %d", from)
	}
}

// TestTunnel: either way counts, and the shorter of two limits.
func TestTunnel(t *testing.T) {
	c := Case{Phase: record.Relay, Tunnel: true, HalfClosed: true, Up: &lane.Lane{Progress: down + 1}, Down: &lane.Lane{Progress: down}}
	_, from, limit := Owed(&config.Timeouts{TunnelIdle: 1, TunnelHalfClosed: 2}, &c)
	if from != down+1 || limit != 1 {
		t.Errorf("since %d for %d", from, limit)
	}
}
