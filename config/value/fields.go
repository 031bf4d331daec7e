package value

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Fields that no route may set, in lower case, because lb writes them itself.
var (
	hopNames     = []string{"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
	framingNames = []string{"content-length"}
	clientNames  = []string{"expect", "max-forwards"}
	forwardNames = []string{"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)

// CheckSetField accepts the name of a field that may be set in either direction.
func CheckSetField(name string) *Flaw {
	if f := CheckToken(name); f != nil {
		return f
	}
	switch low := strings.ToLower(name); {
	case slices.Contains(hopNames, low):
		return Wrong("belongs to one connection", "remove it; lb writes it where it is needed")
	case slices.Contains(framingNames, low):
		return Wrong("says how long a body is", "remove it; lb writes it itself")
	}
	return nil
}

// CheckSetRequest accepts the name of a field of requests that a route may set.
func CheckSetRequest(name string) *Flaw {
	low := strings.ToLower(name)
	switch {
	case low == "via":
		return Wrong("is written by lb", "use the key via")
	case slices.Contains(clientNames, low):
		return Wrong("is what the client asks of everyone on the way", "remove it")
	case slices.Contains(forwardNames, low):
		return Wrong("is written by lb", "remove it; trusted_proxies says whose is kept")
	case strings.HasPrefix(low, "x-client-cert-"):
		return Wrong("is written by lb", "remove it; tls.client_auth says when")
	}
	return CheckSetField(name)
}

// CheckSetResponse accepts the name of a field of answers that a route may set.
func CheckSetResponse(name string) *Flaw {
	if strings.EqualFold(name, "host") {
		return Wrong("is a field of requests", "write it in set_request_headers")
	}
	return CheckSetField(name)
}

// CheckCondition accepts the name of a field that a route may depend on.
func CheckCondition(name string) *Flaw {
	if strings.EqualFold(name, "host") {
		return Wrong("is not for headers", "use the key host")
	}
	return CheckToken(name)
}

// CheckRedirect accepts a URL or a path, with {host} and {uri} in it.
func CheckRedirect(s string) *Flaw {
	const hint = `write a URL or a path, such as "https://{host}{uri}"`
	filled := strings.NewReplacer("{host}", "", "{uri}", "").Replace(s)
	if strings.ContainsAny(filled, "{}") {
		return Wrong("has a brace that is not of {host} or {uri}", hint)
	}
	u, err := url.Parse(strings.NewReplacer("{host}", "h", "{uri}", "/u").Replace(s))
	absolute := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	inside := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/")
	visible := !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
	if !visible || !absolute && !inside {
		return Wrong(fmt.Sprintf("%q is no place to redirect to", s), hint)
	}
	return nil
}
