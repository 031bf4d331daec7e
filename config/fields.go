package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// checkToken accepts the name of a method, a field or a cookie (RFC 9110 section 5.6.2).
func checkToken(s string) *flaw {
	if s == "" {
		return wrong("has an empty name", "write a name")
	}
	for i := range len(s) {
		if c := s[i]; !bareByte(c) && strings.IndexByte("!#$%&'*+.^`|~", c) < 0 {
			return wrong(fmt.Sprintf("%q cannot stand in a name", s[i:i+1]), "use letters, digits and hyphens")
		}
	}
	return nil
}

// checkCookie accepts the name of a cookie (RFC 6265 section 4.1.1), and "" for none.
func checkCookie(s string) *flaw {
	if s == "" {
		return nil
	}
	return checkToken(s)
}

// checkFieldValue accepts the value of a field, which may be empty (RFC 9110 section 5.5).
func checkFieldValue(s string) *flaw {
	if s != strings.Trim(s, " \t") {
		return wrong("begins or ends with a blank", "remove it")
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return wrong(fmt.Sprintf("%q cannot stand in a field", s[i:i+1]), "remove it")
		}
	}
	return nil
}

// Fields that no route may set, in lower case, because lb writes them itself.
var (
	hopNames     = []string{"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
	framingNames = []string{"content-length"}
	clientNames  = []string{"expect", "max-forwards"}
	forwardNames = []string{"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)

// checkSetField accepts the name of a field that may be set in either direction.
func checkSetField(name string) *flaw {
	if f := checkToken(name); f != nil {
		return f
	}
	switch low := strings.ToLower(name); {
	case slices.Contains(hopNames, low):
		return wrong("belongs to one connection", "remove it; lb writes it where it is needed")
	case slices.Contains(framingNames, low):
		return wrong("says how long a body is", "remove it; lb writes it itself")
	}
	return nil
}

func checkSetRequest(name string) *flaw {
	low := strings.ToLower(name)
	switch {
	case low == "via":
		return wrong("is written by lb", "use the key via")
	case slices.Contains(clientNames, low):
		return wrong("is what the client asks of everyone on the way", "remove it")
	case slices.Contains(forwardNames, low):
		return wrong("is written by lb", "remove it; trusted_proxies says whose is kept")
	}
	return checkSetField(name)
}

func checkSetResponse(name string) *flaw {
	if strings.EqualFold(name, "host") {
		return wrong("is a field of requests", "write it in set_request_headers")
	}
	return checkSetField(name)
}

// checkCondition accepts the name of a field that a route may depend on.
func checkCondition(name string) *flaw {
	if strings.EqualFold(name, "host") {
		return wrong("is not for headers", "use the key host")
	}
	return checkToken(name)
}

// checkProbePath accepts the target of a probe.
func checkProbePath(s string) *flaw {
	if !strings.HasPrefix(s, "/") {
		return wrong(fmt.Sprintf("%q does not begin with a slash", s), fmt.Sprintf("write %q", "/"+s))
	}
	_, err := url.ParseRequestURI(s)
	if err != nil || strings.Contains(s, "#") || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return wrong(fmt.Sprintf("%q is no path", s), "write it as in a URL, with %20 for a space")
	}
	return nil
}

// checkProbeHost accepts a Host field, and "" for the backend's own name.
func checkProbeHost(s string) *flaw {
	for i := range len(s) {
		if c := s[i]; !bareByte(c) && strings.IndexByte(".:[]", c) < 0 {
			return wrong(fmt.Sprintf("%q cannot stand in a Host field", s), "write a name, with :port if need be")
		}
	}
	return nil
}
