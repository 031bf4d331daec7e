package heads

import "encoding/binary"

// class is a set of bytes.
type class [256]bool

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	special = "!#$%&'*+-.^_`|~"
)

var (
	isName   = classOf(digits + lower + special)         // of a token in lower case (RFC 9113 8.2.1)
	isToken  = classOf(digits + lower + upper + special) // RFC 9110 5.6.2
	isTarget = func() (c class) {                        // as httpparse reads targets
		for b := '!'; b <= '~'; b++ {
			c[b] = b != '#'
		}
		return c
	}()
)

func classOf(members string) (c class) {
	for _, m := range []byte(members) {
		c[m] = true
	}
	return c
}

// has reports whether b has bytes of c alone, and at least one.
func (c *class) has(b []byte) bool {
	for _, x := range b {
		if !c[x] {
			return false
		}
	}
	return len(b) > 0
}

func nameOK(b []byte) bool  { return isName.has(b) }
func tokenOK(b []byte) bool { return isToken.has(b) }

// targetOK reports whether b may be a target, eight bytes at a time, the last eight of which
// may have been seen before.
func targetOK(b []byte) bool {
	n := len(b)
	if n < 8 {
		return isTarget.has(b)
	}
	for i := 0; i < n-8; i += 8 {
		if notTarget(binary.LittleEndian.Uint64(b[i:i+8:i+8])) != 0 {
			return false
		}
	}
	return notTarget(binary.LittleEndian.Uint64(b[n-8:])) == 0
}

// hostOK reports whether b may stand for a host in text; httpparse says whether it is one.
func hostOK(b []byte) bool { return targetOK(b) }

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controls marks control bytes in w, HTAB among them, by the top bit of each. Only the
// lowest mark is exact.
func controls(w uint64) uint64 {
	return ((w - 0x20*ones) | ((w ^ 0x7f*ones) - ones)) & ^w & highs
}

// notTarget is as controls, for what isTarget has not.
func notTarget(w uint64) uint64 {
	return ((w - 0x21*ones) | ((w ^ 0x7f*ones) - ones) | ((w ^ '#'*ones) - ones) | w) & highs
}

// valueOK reports whether v may be a field's value (RFC 9113 8.2.1): no control bytes but
// HTAB, which httpparse would refuse as well, and no white space around it.
func valueOK(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	if isBlank(v[0]) || isBlank(v[len(v)-1]) {
		return false
	}
	n := len(v)
	if n < 8 {
		return noControls(v)
	}
	marks := uint64(0)
	for i := 0; i < n-8; i += 8 {
		marks |= controls(binary.LittleEndian.Uint64(v[i : i+8 : i+8]))
	}
	marks |= controls(binary.LittleEndian.Uint64(v[n-8:])) // some of them for the second time
	return marks == 0 || noControls(v)
}

// noControls reports whether v has no control bytes but HTAB.
func noControls(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
