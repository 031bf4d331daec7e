package hints

import (
	"fmt"
	"net"
	"strings"
)

// Backend returns a hint for s, which is no address of a backend, by a guess at what was meant.
func Backend(s string) string {
	switch {
	case strings.HasPrefix(strings.ToLower(s), "https://"):
		return `write "https://" and a host, with :port if need be, and no path`
	case strings.HasPrefix(s, "http://"):
		at, _, _ := strings.Cut(strings.TrimPrefix(s, "http://"), "/")
		if _, _, err := net.SplitHostPort(at); err != nil {
			at += ":80"
		}
		return fmt.Sprintf("write %q", at)
	case strings.HasPrefix(s, "/"):
		return fmt.Sprintf(`write "unix:%s"`, s)
	case strings.Count(s, ":") > 1:
		return `put an IPv6 address in brackets, such as "[::1]:9001"`
	}
	return fmt.Sprintf(`write "%s:80", with the port it listens on`, strings.Trim(s, ":"))
}
