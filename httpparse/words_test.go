package httpparse

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// scans are the scans by words, each with the bytes it stops at.
var scans = []struct {
	name  string
	scan  func([]byte, int) int
	stops func(c byte) bool
}{
	{"value", scanValue, func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }},
	{"token", scanToken, func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0
	}},
	{"plain", scanPlain, func(c byte) bool { return strings.IndexByte(alnum+"-.", c) < 0 }},
	{"target", scanTarget, func(c byte) bool {
		return c <= ' ' || c >= 0x7f || c == '#'
	}},
}

// TestScans: a stop byte is found at every place in every length, no other byte
// stops the scan, and the bytes around do not matter.
func TestScans(t *testing.T) {
	for _, s := range scans {
		for c := range 256 {
			for n := 1; n <= 20; n++ {
				for at := range n {
					b := bytes.Repeat([]byte("z"), n)
					b[at] = byte(c)
					want := n
					if s.stops(byte(c)) {
						want = at
					}
					if got := s.scan(b[:n:n], 0); got != want {
						t.Fatalf("%s: %q stops at %d, want %d", s.name, b, got, want)
					}
				}
			}
		}
	}
}

// TestScansAtRandom: random bytes, from any start.
func TestScansAtRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, rnd.IntN(40))
		for i := range b {
			if b[i] = byte(rnd.IntN(256)); rnd.IntN(8) > 0 {
				b[i] = byte('a' + rnd.IntN(26))
			}
		}
		from := rnd.IntN(len(b) + 1)
		for _, s := range scans {
			want := from
			for want < len(b) && !s.stops(b[want]) {
				want++
			}
			if got := s.scan(b, from); got != want {
				t.Fatalf("%s of %q from %d: %d, want %d", s.name, b, from, got, want)
			}
		}
	}
}

// TestFieldIDs: each known name is recognised in any case and at every place of a
// buffer, and similar names are not.
func TestFieldIDs(t *testing.T) {
	id := func(name string, before, after int) FieldID {
		b := []byte(strings.Repeat("y", before) + name + strings.Repeat("y", after))
		return fieldID(b[:len(b):len(b)], before, len(name))
	}
	for want := Connection; want < Claim; want++ {
		name := want.String()
		for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			for k := range 20 {
				if got := id(s, k, 20-k); got != want {
					t.Errorf("%q is %v", s, got)
				}
			}
		}
		for i := range name {
			near := []byte(name)
			near[i] ^= 1
			if got := id(string(near), 0, 0); got == want {
				t.Errorf("%q is %v", near, got)
			}
		}
		for _, s := range []string{name + "s", "X" + name, name[1:], name[:len(name)-1]} {
			if got := id(s, 0, 1); got == want {
				t.Errorf("%q is %v", s, got)
			}
		}
	}
	for _, s := range []string{"X", "A", "Accept", "User-Agent", "X-Request-Id", strings.Repeat("C", 300)} {
		if got := id(s, 0, 0); got != Other {
			t.Errorf("%q is %v", s, got)
		}
	}
}
