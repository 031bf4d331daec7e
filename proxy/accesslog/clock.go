package accesslog

import (
	"time"
)

// Clock writes times of day. It keeps the last second that it has written, because most
// exchanges begin in the same one. A loop has its own. The zero Clock is ready.
type Clock struct {
	utc   second
	local second
}

// second is the text of one second.
type second struct {
	of   int64 // seconds since 1970
	text [len(localLayout)]byte
	n    int
}

const (
	utcLayout   = "2006-01-02T15:04:05"
	localLayout = "02/Jan/2006:15:04:05 -0700" // Apache's and nginx's
)

// appendTime appends a time in nanoseconds since 1970, as RFC 3339 in UTC with microseconds.
func (c *Clock) appendTime(dst []byte, nanos int64) []byte {
	sec, part := nanos/1e9, nanos%1e9/1e3
	if s := &c.utc; s.n == 0 || s.of != sec {
		s.of, s.n = sec, len(time.Unix(sec, 0).UTC().AppendFormat(s.text[:0], utcLayout))
	}
	dst = append(dst, c.utc.text[:c.utc.n]...)
	return append(dst, '.', digit(part, 1e5), digit(part, 1e4), digit(part, 1e3), digit(part, 100), digit(part, 10), digit(part, 1), 'Z')
}

// digit returns the digit of n at the place of unit.
func digit(n, unit int64) byte { return byte('0' + n/unit%10) }

// appendLocal appends a time as the combined format has it, in the machine's zone.
func (c *Clock) appendLocal(dst []byte, nanos int64) []byte {
	sec := nanos / 1e9
	if s := &c.local; s.n == 0 || s.of != sec {
		s.of, s.n = sec, len(time.Unix(sec, 0).AppendFormat(s.text[:0], localLayout))
	}
	return append(dst, c.local.text[:c.local.n]...)
}
