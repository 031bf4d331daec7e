package supervise

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/loop"
)

var bookPools = []config.Pool{
	{Name: "default", Backends: []config.Backend{
		{Host: "10.0.0.1", Port: 1},
		{Host: "app.test", Port: 2},
		{Socket: "/run/app.sock"},
	}},
	{Name: "other", Backends: []config.Backend{
		{Host: "app.test", Port: 3},
		{Host: "2001:db8::1", Port: 4},
	}},
}

func addrAt(text string) []loop.Addr { return []loop.Addr{{IP: netip.MustParseAddrPort(text)}} }

func TestAddrBook(t *testing.T) {
	names := &fakeResolver{name: "app.test"}
	var log bytes.Buffer
	b := newAddrBook(bookPools, names, NewLog(&log, "info"))
	want := [][][]loop.Addr{
		{addrAt("10.0.0.1:1"), nil, {{Path: "/run/app.sock"}}},
		{nil, addrAt("[2001:db8::1]:4")},
	}
	refresh := func() (changes []string) {
		b.refresh(t.Context(), func(at place, addrs []loop.Addr) {
			changes = append(changes, fmt.Sprint(at, addrs[0].IP))
		})
		return changes
	}
	step := func(what string, changes, wantChanges []string) {
		t.Helper()
		if !reflect.DeepEqual(changes, wantChanges) {
			t.Errorf("%s: changes %v, want %v", what, changes, wantChanges)
		}
		if got := b.snapshot(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	step("unknown", refresh(), nil)
	step("still unknown", refresh(), nil)
	if got := strings.Count(log.String(), "does not resolve"); got != 1 {
		t.Errorf("%d warnings, want one for a change of state:\n%s", got, log.String())
	}
	if got := b.interval(resolveEvery); got != unresolvedEvery {
		t.Errorf("a name without address is looked up after %v, want %v", got, unresolvedEvery)
	}
	names.set("::ffff:10.0.0.7")
	want[0][1], want[1][0] = addrAt("10.0.0.7:2"), addrAt("10.0.0.7:3")
	step("known", refresh(), []string{"{0 1} 10.0.0.7:2", "{1 0} 10.0.0.7:3"})
	step("the same", refresh(), nil)
	if got := b.interval(resolveEvery); got != resolveEvery {
		t.Errorf("names are looked up after %v, want %v", got, resolveEvery)
	}
	names.addr.Store(nil)
	step("lost", refresh(), nil)
}

func TestSameSet(t *testing.T) {
	a, b := addrAt("10.0.0.1:1")[0], addrAt("10.0.0.2:1")[0]
	for _, tc := range []struct {
		x, y []loop.Addr
		want bool
	}{
		{nil, nil, true},
		{[]loop.Addr{a}, nil, false},
		{nil, []loop.Addr{a}, false},
		{[]loop.Addr{a, b}, []loop.Addr{b, a}, true},
		{[]loop.Addr{a, b}, []loop.Addr{a}, false},
	} {
		if got := sameSet(tc.x, tc.y); got != tc.want {
			t.Errorf("%v and %v: %v, want %v", tc.x, tc.y, got, tc.want)
		}
	}
}

// A name server that does not answer ends one pass, is warned of, and ends with
// the context at once.
func TestHungNameServer(t *testing.T) {
	asked := make(chan struct{}, 8)
	hung := resolverFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	b := newAddrBook(bookPools, hung, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.watch(ctx, time.Millisecond, func(place, []loop.Addr) { t.Error("an address from nowhere") })
	}()
	<-asked
	cancel()
	wait(t, ended, "the watch to end")
}
