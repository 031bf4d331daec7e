package rewrite

import "strings"

// Switches reports whether to, the Upgrade of a 101, is one of the protocols in asked,
// which were asked for (RFC 9110 7.8).
func Switches(asked string, to []byte) bool {
	if asked == "" {
		return false
	}
	for one := range strings.SplitSeq(asked, ",") {
		if strings.EqualFold(strings.TrimSpace(one), string(to)) {
			return true
		}
	}
	return false
}
