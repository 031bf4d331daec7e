package value

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// CheckToken accepts the name of a method, a field or a cookie (RFC 9110 section 5.6.2).
func CheckToken(s string) *Flaw {
	if s == "" {
		return Wrong("has an empty name", "write a name")
	}
	for i := range len(s) {
		if c := s[i]; !NameByte(c) && strings.IndexByte("!#$%&'*+.^`|~", c) < 0 {
			return Wrong(fmt.Sprintf("%q cannot stand in a name", s[i:i+1]), "use letters, digits and hyphens")
		}
	}
	return nil
}

// CheckCookie accepts the name of a cookie (RFC 6265 section 4.1.1), and "" for none.
func CheckCookie(s string) *Flaw {
	if s == "" {
		return nil
	}
	return CheckToken(s)
}

// CheckFieldValue accepts the value of a field, which may be empty (RFC 9110 section 5.5).
func CheckFieldValue(s string) *Flaw {
	if s != strings.Trim(s, " \t") {
		return Wrong("begins or ends with a blank", "remove it")
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return Wrong(fmt.Sprintf("%q cannot stand in a field", s[i:i+1]), "remove it")
		}
	}
	return nil
}

// CheckVia accepts a received-by of RFC 9110 section 7.6.3: a pseudonym, which is a
// token, or a host with a port.
func CheckVia(s string) *Flaw {
	for i := range len(s) {
		if c := s[i]; !NameByte(c) && strings.IndexByte("!#$%&'*+.^`|~:[]", c) < 0 {
			return Wrong(fmt.Sprintf("%q cannot stand in a Via field", s), `use letters, digits and hyphens, or "" for no Via`)
		}
	}
	return nil
}

// CheckTarget accepts the target of a request: a path, with a query or without.
func CheckTarget(s string) *Flaw {
	if !strings.HasPrefix(s, "/") {
		return Wrong(fmt.Sprintf("%q does not begin with a slash", s), fmt.Sprintf("write %q", "/"+s))
	}
	_, err := url.ParseRequestURI(s)
	if err != nil || strings.Contains(s, "#") || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return Wrong(fmt.Sprintf("%q is no path", s), "write it as in a URL, with %20 for a space")
	}
	return nil
}

// CheckHostField accepts the value of a Host field, and "" for none.
func CheckHostField(s string) *Flaw {
	if u, ok := parseURL(s); ok {
		return Wrong("is a URL", fmt.Sprintf("write %q", u.host))
	}
	for i := range len(s) {
		if c := s[i]; !NameByte(c) && strings.IndexByte(".:[]", c) < 0 {
			return Wrong(fmt.Sprintf("%q cannot stand in a Host field", s), "write a name, with :port if need be")
		}
	}
	return nil
}

// CheckHostPattern accepts a name, "*." and a name, or an address, without a port.
func CheckHostPattern(s string) *Flaw {
	const anyPort = "; a route takes every scheme and port"
	if u, ok := parseURL(s); ok {
		return Wrong("is a URL", fmt.Sprintf("write host = %q", u.host)+anyPort)
	}
	name, wild := strings.CutPrefix(s, "*.")
	if host, _, err := net.SplitHostPort(name); err == nil {
		return Wrong("has a port in it", fmt.Sprintf("write host = %q", strings.TrimSuffix(s, name)+host)+anyPort)
	}
	switch {
	case s == "", s == "*":
		return Wrong(fmt.Sprintf("%q is no host", s), "leave it out for every host")
	case strings.Contains(name, "*"), wild && name == "":
		return Wrong(fmt.Sprintf("%q has its star in the wrong place", s), `write a name, or "*.example.com" for all names below one`)
	case strings.HasSuffix(name, "."):
		return Wrong("ends in a dot", fmt.Sprintf("write %q", strings.TrimRight(s, ".")))
	case strings.HasPrefix(name, "."), strings.Contains(name, ".."):
		return Wrong(fmt.Sprintf("%q has an empty part", s), "write a name")
	}
	return checkShape(name)
}

// CheckPathPrefix accepts a prefix of paths, escaped as in a request.
func CheckPathPrefix(s string) *Flaw {
	if !strings.HasPrefix(s, "/") {
		return Wrong(fmt.Sprintf("%q does not begin with a slash", s), fmt.Sprintf("write %q", "/"+s))
	}
	if i := strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }); i >= 0 {
		return Wrong(fmt.Sprintf("%q cannot stand in a path", s[i:i+1]), "write it as in a URL, with %20 for a space")
	}
	if i := strings.IndexAny(s, "?#*"); i >= 0 {
		return Wrong(fmt.Sprintf("has a %q in it", s[i:i+1]), "write the beginning of a path, without a query")
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." {
			return Wrong(fmt.Sprintf("%q has a part %q", s, part), "write it without")
		}
	}
	return nil
}

// ParseStatuses reads a status code or a range of them, both ends included: "404",
// "200-299".
func ParseStatuses(s string) (low, high int, f *Flaw) {
	from, to, ranged := strings.Cut(s, "-")
	if !ranged {
		to = from
	}
	first, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	switch {
	case err1 != nil || err2 != nil:
		return 0, 0, Wrong(fmt.Sprintf("%q is neither a status code nor a range", s), `write codes and ranges, such as "200-299, 404"`)
	case first < 200 || last > 599: // 1xx never ends an exchange
		return 0, 0, Wrong(fmt.Sprintf("%q is out of range", s), "use 200 to 599")
	case first > last:
		return 0, 0, Wrong(fmt.Sprintf("%q is the wrong way round", s), fmt.Sprintf(`write "%d-%d"`, last, first))
	}
	return int(first), int(last), nil
}
