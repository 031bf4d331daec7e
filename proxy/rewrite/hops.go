package rewrite

import (
	"errors"
	"strconv"

	"lb/httpparse"
)

// Hops returns the Max-Forwards of the request m in b, which has that field (RFC 9110
// 7.6.2). A number that is too large is the greatest one; ok is false if it is none.
func Hops(m *httpparse.Request, b []byte) (n int64, ok bool) {
	f, _ := m.Find(httpparse.MaxForwards)
	u, err := strconv.ParseUint(string(f.Value.Of(b)), 10, 62)
	return int64(u), err == nil || errors.Is(err, strconv.ErrRange)
}
