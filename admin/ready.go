package admin

import (
	"net/http"
	"strings"

	"lb/board"
	"lb/config"
)

// health answers a load balancer or monitor that asks whether lb takes new connections.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		say(w, http.StatusServiceUnavailable, "draining")
		return
	}
	say(w, http.StatusOK, "ok")
}

// ready answers a load balancer or monitor that asks whether requests would find a backend.
func (s *Server) ready(o Options) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.draining.Load():
			say(w, http.StatusServiceUnavailable, "draining")
			return
		case o.Board.OldestConfig() == 0:
			say(w, http.StatusServiceUnavailable, "no loop runs")
			return
		}
		if empty := unusable(o.Board, o.View()); len(empty) > 0 {
			say(w, http.StatusServiceUnavailable, "no backend can be used in: "+strings.Join(empty, ", "))
			return
		}
		say(w, http.StatusOK, "ok")
	}
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	w.Write([]byte(text))
}

// unusable returns the pools that requests are sent to and that have no backend for a new
// client. The default pool is one of them unless it is empty: then its requests get 404.
func unusable(b *board.Board, v View) (names []string) {
	routed := make([]bool, len(v.Config.Pools))
	routed[0] = len(v.Config.Pools[0].Backends) > 0
	for _, r := range v.Config.Routes {
		if r.Pool >= 0 {
			routed[r.Pool] = true
		}
	}
	for i, p := range v.Config.Pools {
		if routed[i] && !usable(b, p, v.IDs[i]) {
			names = append(names, p.Name)
		}
	}
	return names
}

// usable reports whether the loops can pick a backend for a new client, as upstream does:
// not one that is down, drains or is disabled. Ejected ones are picked when the others are
// out, because faults alone never empty a pool.
func usable(b *board.Board, p config.Pool, ids []int) bool {
	for j, backend := range p.Backends {
		s := b.State(ids[j])
		if !backend.Drain && board.Admin(s.Admin.Load()) == board.Enabled && board.Health(s.Health.Load()) != board.Down {
			return true
		}
	}
	return false
}
