package rewrite

import (
	"strings"

	"lb/httpparse"
)

// Switches reports whether m, a 101 that was parsed from b, changes to one of the protocols in
// asked, which were asked for (RFC 9110 7.8). Of several, the lowest layer stands first, as
// in "TLS/1.0, HTTP/1.1" of printers (RFC 2817 3.3); the others are what it carries.
func Switches(asked string, m *httpparse.Response, b []byte) bool {
	return switches(asked, upgradeOf(m, b))
}

func switches(asked string, to []byte) bool {
	if asked == "" || len(to) == 0 {
		return false
	}
	lowest, _, _ := strings.Cut(string(to), ",")
	lowest = strings.TrimSpace(lowest)
	for one := range strings.SplitSeq(asked, ",") {
		if strings.EqualFold(strings.TrimSpace(one), lowest) {
			return true
		}
	}
	return false
}
