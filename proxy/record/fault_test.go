package record

import (
	"strings"
	"syscall"
	"testing"

	"lb/httpparse"
)

// TestCauses: each cause has a name of its own, and can be answered whichever side is at
// fault.
func TestCauses(t *testing.T) {
	if len(causeNames) != int(CauseOut)+1 {
		t.Fatalf("%d names of %d causes", len(causeNames), CauseOut+1)
	}
	seen := make(map[string]Cause)
	for c := NoCause + 1; c <= CauseOut; c++ {
		name := c.String()
		if other, ok := seen[name]; ok || name == "" {
			t.Errorf("cause %d has the name %q, as cause %d", c, name, other)
		}
		seen[name] = c
		for _, f := range []Fault{ByClient(c), ByBackend(c), ByLB(c), {Cause: c}} {
			if c == CauseBadRequest {
				f.Detail = uint16(httpparse.BareCR)
			}
			if status := f.Status(); status < 400 || status > 599 {
				t.Errorf("%s by %q: status %d", name, f.Side, status)
			}
			if f.Text() == "" {
				t.Errorf("%s by %q: no text", name, f.Side)
			}
		}
	}
}

// TestSlow: a slow client gets another answer than the client of a slow backend (RFC 9110
// 15.5.9, 15.6.5).
func TestSlow(t *testing.T) {
	client, backend := ByClient(CauseSlow), ByBackend(CauseSlow)
	if client.Status() != 408 || backend.Status() != 504 || client.Text() == backend.Text() {
		t.Errorf("%d %q and %d %q", client.Status(), client.Text(), backend.Status(), backend.Text())
	}
}

// TestBadRequest: the parser's reason decides the answer.
func TestBadRequest(t *testing.T) {
	f := ByClient(CauseBadRequest)
	const why = httpparse.LongTarget
	f.Detail = uint16(why)
	if f.Status() != why.Status() || f.Text() != why.String() {
		t.Errorf("%d %q for %v", f.Status(), f.Text(), why)
	}
}

// TestNames: sides and phases have names for logs, except for no side.
func TestNames(t *testing.T) {
	for s := NoSide; s <= LBSide; s++ {
		if (s.String() == "") != (s == NoSide) {
			t.Errorf("side %d has the name %q", s, s)
		}
	}
	for ph := range Phases {
		if ph.String() == "" {
			t.Errorf("phase %d has no name", ph)
		}
	}
}

// TestByDialling: a backend is not to blame for what lb has run out of.
func TestByDialling(t *testing.T) {
	for err, want := range map[syscall.Errno]Fault{
		syscall.EMFILE:        {Side: LBSide, Cause: CauseExhausted},
		syscall.EADDRNOTAVAIL: {Side: LBSide, Cause: CauseExhausted},
		syscall.ECONNREFUSED:  {Side: BackendSide, Cause: CauseNoConnect, Detail: uint16(syscall.ECONNREFUSED)},
		syscall.ENETUNREACH:   {Side: BackendSide, Cause: CauseNoConnect, Detail: uint16(syscall.ENETUNREACH)},
	} {
		if got := ByDialling(err); got != want {
			t.Errorf("%v: %+v, want %+v", err, got, want)
		}
	}
}

// TestTextFor: the reply says which host no route takes, unless that is very long.
func TestTextFor(t *testing.T) {
	f := ByClient(CauseNoRoute)
	if got, want := f.TextFor([]byte("a\"b")), `no route takes this path of the host "a\"b"`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := f.TextFor([]byte(strings.Repeat("a", hostShown+1))); got != f.Text() {
		t.Errorf("%q for a long host", got)
	}
	if f := ByClient(CauseAmbiguous); f.TextFor([]byte("a")) != f.Text() {
		t.Errorf("%q", f.TextFor([]byte("a")))
	}
}

// TestLines: the client is to try again where that may help.
func TestLines(t *testing.T) {
	for c := NoCause; c <= CauseOut; c++ {
		want := ""
		if c == CauseCrowded || c == CauseNoBackend {
			want = "Retry-After: 1\r\n"
		}
		if got := string(ByLB(c).Lines()); got != want {
			t.Errorf("%s: %q, want %q", c, got, want)
		}
	}
}
