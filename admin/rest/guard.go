package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A web page can have its browser ask the admin address for anything, in the name of an
// operator who only looks at that page. The page must learn nothing that way and change
// nothing:
//
//   - Its own name made to resolve to this machine (DNS rebinding): the browser believes
//     that page and lb are one site. Only the field Host shows the name, so Host is checked.
//   - A form, an image or a script that names the admin address (CSRF): the field Origin, or
//     Sec-Fetch-Site, shows the page. A form cannot send application/json, and a script may
//     not send that or the field Authorization to another site unless lb allowed it by a field
//     of CORS. There is none.

// Network has the rules for clients over TCP.
type Network struct {
	// Token returns the token of the configuration in use; "" if there is none.
	Token func() string
	// Hosts are names in lower case that a request may be for, besides localhost and every
	// IP address. "" stands for none.
	Hosts []string
}

// checkSite returns 0, or the status code and the text for a request that another web page
// may have caused.
func (n *Network) checkSite(r *http.Request) (code int, why string) {
	if n == nil {
		return 0, ""
	}
	if !n.knows(r.Host) {
		return http.StatusMisdirectedRequest, fmt.Sprintf("%q is not a name of this lb; use its IP address, localhost or the machine's name, or write the name in [admin] address", r.Host)
	}
	for _, origin := range r.Header.Values("Origin") {
		if !isOwn(origin, r.Host) {
			return http.StatusForbidden, fmt.Sprintf("a page of %q may not ask this lb", origin)
		}
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
		return 0, ""
	default:
		if opens(r) { // a link to the dashboard
			return 0, ""
		}
		return http.StatusForbidden, fmt.Sprintf("a page of another site (Sec-Fetch-Site: %.20s) may not ask this lb", site)
	}
}

// opens reports whether a browser opens the target in a tab. The page that links to it sees
// nothing of the answer.
func opens(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// knows reports whether host, with or without a port, is a name of this lb.
func (n *Network) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil || host == "localhost" {
		return true
	}
	return host != "" && slices.Contains(n.Hosts, host)
}

// isOwn reports whether a page of origin came from host itself. The scheme may be another
// one: a proxy before lb may speak TLS.
func isOwn(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, host) &&
		u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == ""
}

// mayUse reports whether the client may use the endpoint. If not, it has told the client
// why.
func (s *Server) mayUse(c *call) bool {
	n := s.o.Network
	if n == nil || !c.e.Token {
		return true
	}
	token := n.Token()
	if token == "" {
		c.refuse(http.StatusForbidden, Refusal{Error: fmt.Sprintf("%s %s is for the socket alone, because no token is configured; set [admin] token to allow it here with \"Authorization: Bearer TOKEN\"", c.Method, c.URL.Path)})
		return false
	}
	given := c.Header.Values("Authorization")
	if len(given) == 1 && sameToken(given[0], token) {
		return true
	}
	challenge, why := `Bearer realm="lb"`, "it has none"
	if len(given) > 0 {
		challenge, why = `Bearer realm="lb", error="invalid_token"`, "it has another one"
		s.logDenial(c)
	}
	c.w.Header().Set("WWW-Authenticate", challenge) // RFC 6750 §3
	c.refuse(http.StatusUnauthorized, Refusal{Error: fmt.Sprintf("%s %s needs the token of [admin] token as \"Authorization: Bearer TOKEN\"; %s", c.Method, c.URL.Path, why)})
	return false
}

// sameToken reports whether the field Authorization has token. How long that takes shows
// nothing of token, not even its length.
func sameToken(field, token string) bool {
	scheme, given, _ := strings.Cut(field, " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// denialEvery is the least time between two lines about wrong tokens.
const denialEvery = time.Second

// logDenial logs that a client tried a wrong token.
func (s *Server) logDenial(c *call) {
	last, now := s.denied.Load(), time.Now().UnixNano()
	if time.Duration(now-last) >= denialEvery && s.denied.CompareAndSwap(last, now) {
		s.o.Log.Warn("API: wrong token", "what", c.Method+" "+c.URL.Path, "by", peerOf(c.Request),
			"mend", "send the token of [admin] token; if it is not yours, see who asks")
	}
}

// checkBody reports whether there is a body only where one is read, and whether that may be:
// over TCP one has to say that it is JSON, which no form of a web page can. net/http notices
// that the client of a stream has gone only if there is no body left.
func (c *call) checkBody(tcp bool) bool {
	if c.e.Body == nil {
		if c.ContentLength != 0 && !c.e.AnyHost {
			c.w.Header().Set("Connection", "close") // else net/http reads the body first
			c.refuse(http.StatusBadRequest, Refusal{Error: fmt.Sprintf("%s %s takes no body", c.Method, c.URL.Path)})
			return false
		}
		return true
	}
	if !tcp {
		return true
	}
	if media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err == nil && media == "application/json" {
		return true
	}
	c.refuse(http.StatusUnsupportedMediaType, Refusal{Error: fmt.Sprintf("%s %s needs \"Content-Type: application/json\"", c.Method, c.URL.Path)})
	return false
}

// checkQuery reports whether the query has nothing but what the endpoint knows, each
// parameter once unless it may be repeated.
func (c *call) checkQuery() bool {
	if c.e.AnyHost || c.e.Path == "/" {
		return true
	}
	query, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		c.refuse(http.StatusBadRequest, Refusal{Error: fmt.Sprintf("the query cannot be read: %v", err)})
		return false
	}
	for name, values := range query {
		p := c.e.param(name)
		switch {
		case p == nil:
			c.refuse(http.StatusBadRequest, Refusal{Error: fmt.Sprintf("%s has no parameter %q; %s", c.URL.Path, name, c.e.params())})
			return false
		case len(values) > 1 && !p.Many:
			c.refuse(http.StatusBadRequest, Refusal{Error: fmt.Sprintf("%s takes one %s", c.URL.Path, name)})
			return false
		}
	}
	return true
}

// param returns a parameter by its name, or nil if there is none.
func (e *Endpoint) param(name string) *Param {
	for i := range e.Query {
		if e.Query[i].Name == name {
			return &e.Query[i]
		}
	}
	return nil
}

// params lists the parameters.
func (e *Endpoint) params() string {
	if len(e.Query) == 0 {
		return "it takes none"
	}
	names := make([]string, len(e.Query))
	for i, p := range e.Query {
		names[i] = p.Name
	}
	return "there is " + strings.Join(names, ", ")
}
