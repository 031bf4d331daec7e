package dashboard

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lb/internal/testkit/browser"
)

var shots = flag.String("shots", "", "write pictures of the page to this folder")

// serve serves the page and the events of a source, and what else is given by its pattern.
func serve(t testing.TB, s Source, more map[string]http.HandlerFunc) (url string) {
	t.Helper()
	return strings.TrimSuffix(serveEvents(t, NewEvents(s), more), "v1/events")
}

// serveEvents is serve with a handler, and returns the URL of its events.
func serveEvents(t testing.TB, events *Events, more ...map[string]http.HandlerFunc) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", Page())
	mux.Handle("GET /v1/events", events)
	for _, handlers := range more {
		for pattern, h := range handlers {
			mux.HandleFunc(pattern, h)
		}
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		events.Close()
		server.Close()
	})
	return server.URL + "/v1/events"
}

// TestShots makes pictures for people to look at: go test -run TestShots -shots FOLDER.
func TestShots(t *testing.T) {
	if *shots == "" {
		t.Skip("no -shots")
	}
	b := browser.Start(t)
	for name, s := range map[string]*fake{
		"healthy":  newFake(poolOf("web", "least_conn", 1, 4), poolOf("checkout", "p2c", 2, 3), poolOf("media", "round_robin", 3, 2)),
		"degraded": degraded(),
		"empty":    nothing(),
	} {
		if n := len(s.history.Total.Rate); n > 0 {
			s.perSecond, s.badPerSecond = float64(s.history.Total.Rate[n-1]), float64(s.history.Total.Errors[n-1])
		}
		url := serve(t, s, nil)
		for _, v := range []browser.View{{Width: 390, Height: 844}, {Width: 1440, Height: 900}} {
			for _, dark := range []bool{false, true} {
				v.Dark = dark
				p := b.Open(url, v)
				p.Until("document.querySelector('#state .word').textContent === 'Serving'")
				p.Eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))", nil)
				shade := map[bool]string{true: "dark", false: "light"}[dark]
				file := filepath.Join(*shots, name+"-"+strconv.Itoa(v.Width)+"-"+shade+".png")
				if err := os.WriteFile(file, p.Screenshot(), 0o644); err != nil {
					t.Fatal(err)
				}
				if m := p.Mistakes(); m != "" {
					t.Error(m)
				}
			}
		}
	}
}
