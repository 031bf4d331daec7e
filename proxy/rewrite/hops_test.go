package rewrite

import "testing"

// TestHops: OPTIONS and TRACE lose a hop, and end here without one. Other methods do not
// count them (RFC 9110 7.6.2).
func TestHops(t *testing.T) {
	const least = 1<<62 - 2
	for _, tc := range []struct {
		method, value string
		left          int64
		here          *Here
	}{
		{"OPTIONS", "10", 9, nil},
		{"TRACE", "1", 0, nil},
		{"OPTIONS", "99999999999999999999999", least, nil},
		{"OPTIONS", "0", -1, &optionsHere},
		{"TRACE", "0", -1, &traceHere},
		{"OPTIONS", "", -1, &noNumber},
		{"TRACE", "-1", -1, &noNumber},
		{"OPTIONS", "+1", -1, &noNumber},
		{"OPTIONS", "1, 2", -1, &noNumber},
		{"GET", "0", -1, nil},
		{"POST", "x", -1, nil},
	} {
		in := tc.method + " /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + tc.value + "\r\n\r\n"
		if left, here := Hops(parse(t, in), []byte(in)); left != tc.left || here != tc.here {
			t.Errorf("%s %q: %d, %+v; want %d, %+v", tc.method, tc.value, left, here, tc.left, tc.here)
		}
	}
}
