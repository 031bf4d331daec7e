package config

import (
	"net/netip"
	"strings"

	"lb/config/match"
)

// Route sends some requests to a pool, or answers them with a redirect. Of the
// routes that match, an exact host wins over a wildcard, a wildcard over no host;
// then the longest path wins, then the first route in the file.
type Route struct {
	Host               string   // in lower case, without port or brackets; "*.example.com": any name below; "": any
	Path               string   // a prefix of whole segments: "/a" takes /a and /a/b, not /ab; "/": any
	Scheme             string   // "http" or "https", of the client's conn to lb; "": either
	Methods            []string // any of these; none: every method
	Headers            []Field  // all of these, with exactly these values; names in lower case
	Pool               int      // index in Config.Pools; -1 for a redirect
	Paths              Paths    // "": as Config.Paths
	StripPrefix        bool     // take Path off the path before forwarding
	SetRequestHeaders  []Field  // replace those of the client, or with "" remove them; names as written
	SetResponseHeaders []Field  // replace those of the backend, or with "" remove them; names as written
	Redirect           Redirect
	Allow, Deny        []netip.Prefix // networks of clients, others get a 403; no Allow: all that Deny has not
	RequestsMax        int            // at once, over all loops; more wait; 0: unlimited
}

// Field is one field of a head. Lists of them are sorted by name in lower case.
type Field = match.Field

// Redirect is an answer instead of a pool.
type Redirect struct {
	To   string // Location; {host} and {uri} stand for those of the request; "": no redirect
	Code int    // 301, 302, 303, 307 or 308
}

// Append appends the Location for a request to dst and returns it. host is the
// request's Host, uri its path and query.
func (r Redirect) Append(dst []byte, host, uri string) []byte {
	for rest := r.To; ; {
		before, after, ok := strings.Cut(rest, "{")
		dst = append(dst, before...)
		switch {
		case !ok:
			return dst
		case strings.HasPrefix(after, "host}"):
			dst = append(dst, host...)
		default: // checkRedirect accepts only these two
			dst = append(dst, uri...)
		}
		_, rest, _ = strings.Cut(after, "}")
	}
}
