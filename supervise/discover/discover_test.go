package discover

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/plan"
	"lb/supervise/supervisetest"
)

var bookConfig = &config.Config{Pools: []config.Pool{
	{Name: "default", Backends: []config.Backend{
		{Host: "10.0.0.1", Port: 1},
		{Host: "app.test", Port: 2},
		{Socket: "/run/app.sock"},
	}},
	{Name: "other", Backends: []config.Backend{
		{Host: "app.test", Port: 3},
		{Host: "2001:db8::1", Port: 4},
	}},
}}

func oneAddr(text string) []plan.Addr { return []plan.Addr{{IP: netip.MustParseAddrPort(text)}} }

func TestAddrBook(t *testing.T) {
	resolver := &supervisetest.FakeResolver{Name: "app.test"}
	var log bytes.Buffer
	b := NewBook(slog.New(slog.NewTextHandler(&log, nil)))
	want := [][][]plan.Addr{
		{oneAddr("10.0.0.1:1"), nil, {{Path: "/run/app.sock"}}},
		{nil, oneAddr("[2001:db8::1]:4")},
	}
	names := Names(bookConfig)
	if !slices.Equal(names, []string{"app.test"}) {
		t.Fatalf("names: %v", names)
	}
	step := func(what string, changed, without []string) {
		t.Helper()
		if got := b.Note(LookUp(t.Context(), resolver, names, testkit.Patience)); !slices.Equal(got, changed) {
			t.Errorf("%s: changed %v, want %v", what, got, changed)
		}
		if got := plan.Addrs(bookConfig, b.Of); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		if got := b.Without(names); !slices.Equal(got, without) {
			t.Errorf("%s: without address %v, want %v", what, got, without)
		}
	}
	step("unknown", nil, names)
	step("still unknown", nil, names)
	if got := strings.Count(log.String(), "does not resolve"); got != 1 {
		t.Errorf("%d warnings, want one for a change of state:\n%s", got, log.String())
	}
	resolver.Set("::ffff:10.0.0.7")
	want[0][1], want[1][0] = oneAddr("10.0.0.7:2"), oneAddr("10.0.0.7:3")
	step("known", names, nil)
	step("the same", nil, nil)
	resolver.Addr.Store(nil)
	step("lost", nil, nil)
	b.Forget(names)
	step("needed still", nil, nil)
	b.Forget(nil)
	want[0][1], want[1][0] = nil, nil
	step("forgotten", nil, names)
}

func TestSameSet(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for _, tc := range []struct {
		x, y []netip.Addr
		want bool
	}{
		{nil, nil, true},
		{[]netip.Addr{a}, nil, false},
		{nil, []netip.Addr{a}, false},
		{[]netip.Addr{a, b}, []netip.Addr{b, a}, true},
		{[]netip.Addr{a, b}, []netip.Addr{a}, false},
	} {
		if got := sameSet(tc.x, tc.y); got != tc.want {
			t.Errorf("%v and %v: %v, want %v", tc.x, tc.y, got, tc.want)
		}
	}
}

// Names are looked up often as long as one has no address.
func TestLookupsPace(t *testing.T) {
	l := StartLookups(&supervisetest.FakeResolver{}, 0, func(<-chan struct{}, Findings) { t.Error("looked up too soon") })
	defer l.Close()
	for _, tc := range []struct {
		names   []string
		missing bool
		want    time.Duration
	}{
		{[]string{"a.test"}, false, resolveEvery},
		{[]string{"a.test", "b.test"}, true, unresolvedEvery},
		{nil, false, resolveEvery},
	} {
		l.Set(tc.names, tc.missing)
		if names, every := l.wants(); !slices.Equal(names, tc.names) || every != tc.want {
			t.Errorf("%v, %v: looks up %v every %v", tc.names, tc.missing, names, every)
		}
	}
}

// A lookup at a name server that does not answer ends at once when it is cancelled.
func TestHungNameServer(t *testing.T) {
	asked := make(chan struct{}, 8)
	hung := supervisetest.ResolverFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	l := StartLookups(hung, time.Millisecond, func(<-chan struct{}, Findings) { t.Error("news from nowhere") })
	l.Set([]string{"app.test"}, true)
	<-asked
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Close()
	}()
	testkit.Wait(t, ended, "the lookups to end")
}
