package rewrite

import (
	"errors"
	"strconv"

	"lb/httpparse"
)

// Here is the answer to a request that goes no further.
type Here struct {
	Code  int
	Text  string
	Lines []byte // field lines
	Bad   bool   // the request is malformed
}

var (
	noNumber    = Here{Code: 400, Text: "Max-Forwards is no number", Bad: true}
	optionsHere = Here{Code: 200, Lines: []byte("Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n")}
	traceHere   = Here{Code: 501, Text: "TRACE ends here by Max-Forwards, and lb does not reflect requests"}
)

// Hops obeys the Max-Forwards of the request m, which has that field (RFC 9110 7.6.2). It
// returns the number to pass on, or -1 if none counts; here is the answer if the request ends
// here, otherwise nil. b is the buffer that m was parsed from.
func Hops(m *httpparse.Request, b []byte) (left int64, here *Here) {
	n, ok := hops(m, b)
	switch {
	case m.Method != httpparse.OPTIONS && m.Method != httpparse.TRACE:
		return -1, nil
	case !ok:
		return -1, &noNumber
	case n > 0:
		return n - 1, nil
	case m.Method == httpparse.OPTIONS:
		return -1, &optionsHere
	}
	return -1, &traceHere
}

// hops returns the Max-Forwards of the request m in b, which has that field. A number that is
// too large is the greatest one; ok is false if it is none.
func hops(m *httpparse.Request, b []byte) (n int64, ok bool) {
	f, _ := m.Find(httpparse.MaxForwards)
	u, err := strconv.ParseUint(string(f.Value.Of(b)), 10, 62)
	return int64(u), err == nil || errors.Is(err, strconv.ErrRange)
}
