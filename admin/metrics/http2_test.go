package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lb/board"
	"lb/httpparse/h2"
)

// TestHTTP2Metrics: each word of HTTP/2 on the board has its series, added up over loops.
func TestHTTP2Metrics(t *testing.T) {
	o := options()
	for loop, sign := range []uint64{1, 2} {
		l := o.Board.Loop(loop)
		for i, c := range []*board.Counter{&l.HTTP2Conns, &l.HTTP2BackendConns, &l.HTTP2Requests, &l.HTTP2Refused, &l.HTTP2Goaways, &l.HTTP2Unprocessed} {
			c.Add(sign * uint64(100+i))
		}
		for kind := range l.HTTP2Floods {
			l.HTTP2Floods[kind].Add(sign * uint64(200+kind))
		}
	}
	registry := served(t, o)
	check := func(name, kind, samples string) {
		families, err := registry()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != name {
				continue
			}
			want := fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n%s\n", name, f.GetHelp(), name, kind, strings.TrimSpace(samples))
			if err := testutil.GatherAndCompare(registry, strings.NewReader(want), name); err != nil {
				t.Error(err)
			}
			return
		}
		t.Errorf("there is no %s", name)
	}
	check("lb_http2_client_connections", "gauge", "lb_http2_client_connections 300")
	check("lb_http2_backend_connections", "gauge", "lb_http2_backend_connections 303")
	check("lb_http2_requests_total", "counter", "lb_http2_requests_total 306")
	check("lb_http2_refused_streams_total", "counter", "lb_http2_refused_streams_total 309")
	check("lb_http2_goaways_total", "counter", "lb_http2_goaways_total 312")
	check("lb_http2_unprocessed_streams_total", "counter", "lb_http2_unprocessed_streams_total 315")
	floods := ""
	for _, b := range h2.Budgets() {
		floods += fmt.Sprintf("lb_http2_floods_total{kind=%q} %d\n", b, 3*(200+int(b)))
	}
	check("lb_http2_floods_total", "counter", floods)
}

// TestFloodsHaveRoom: the board has a word for every kind of flood.
func TestFloodsHaveRoom(t *testing.T) {
	list := h2.Budgets()
	if last := list[len(list)-1]; int(last) != len(list) || int(last) >= board.Floods {
		t.Errorf("the last of %d kinds has the number %d, and the board room for numbers below %d", len(list), last, board.Floods)
	}
}
