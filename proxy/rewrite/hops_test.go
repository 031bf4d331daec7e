package rewrite

import (
	"testing"

	"lb/httpparse"
)

func TestHops(t *testing.T) {
	for value, want := range map[string]int64{"0": 0, "10": 10, "99999999999999999999999": 1<<62 - 1, "": -1, "-1": -1, "+1": -1, "1, 2": -1} {
		in := []byte("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + value + "\r\n\r\n")
		var p httpparse.RequestParser
		p.Reset(&httpparse.Limits{HeadBytes: 1 << 10, Fields: 10, TargetBytes: 100})
		if st := p.Feed(in); st != httpparse.Done {
			t.Fatalf("%q: %v", in, st)
		}
		n, ok := Hops(&p.Request, in)
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d, want %d", value, n, want)
		}
	}
}
