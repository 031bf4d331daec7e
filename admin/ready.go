package admin

import (
	"net/http"
	"strings"

	"lb/board"
	"lb/upstream/usable"
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
// client, see upstream/usable. The default pool is one of them unless neither the file nor a
// source gives it backends: then its requests get 404.
func unusable(b *board.Board, v View) (names []string) {
	routed := make([]bool, len(v.Config.Pools))
	routed[0] = v.Awaits || len(v.Config.Pools[0].Backends) > 0
	for _, r := range v.Config.Routes {
		if r.Pool >= 0 {
			routed[r.Pool] = true
		}
	}
	for i, p := range v.Config.Pools {
		if routed[i] && !usable.Of(b, &p, v.IDs[i]).Any() {
			names = append(names, p.Name)
		}
	}
	return names
}
