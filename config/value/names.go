package value

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// CheckCertName accepts a name or an IP address that lb gets a certificate for by itself.
func CheckCertName(s string) *Flaw {
	switch {
	case s == "":
		return Wrong("is empty", `write a name, such as "example.com"`)
	case strings.Contains(s, "*"):
		return Wrong(fmt.Sprintf("%q has a star", s), "name each host: HTTP-01 and TLS-ALPN-01 prove single names; for a wildcard, write its files in [[tls.certs]]")
	case strings.HasSuffix(s, "."):
		return Wrong("ends in a dot", fmt.Sprintf("write %q", strings.TrimRight(s, ".")))
	case strings.HasPrefix(s, "."), strings.Contains(s, ".."):
		return Wrong(fmt.Sprintf("%q has an empty part", s), "write a name")
	case strings.ContainsFunc(s, func(c rune) bool { return c > 0x7f }):
		return Wrong(fmt.Sprintf("%q is not in ASCII", s), `write its form that begins with "xn--"`)
	}
	return checkName(s)
}

// CheckServerName accepts a name or an IP address that a certificate is for, and "" for
// none.
func CheckServerName(s string) *Flaw {
	if s == "" {
		return nil
	}
	return checkName(s)
}

// checkName accepts a name or an IP address without a port.
func checkName(s string) *Flaw {
	if u, ok := parseURL(s); ok {
		return Wrong("is a URL", fmt.Sprintf("write %q", u.host))
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() != "" {
		return Wrong("has a zone, which certificates have not", fmt.Sprintf("write %q", a.WithZone("")))
	}
	f := checkShape(s)
	if f != nil && strings.HasPrefix(f.Hint, "write host = ") {
		host, _, _ := strings.Cut(strings.TrimPrefix(f.Hint, "write host = "), " and ")
		f.Hint = "write " + host
	}
	return f
}

// CheckEmail accepts an address of mail, and "" for none.
func CheckEmail(s string) *Flaw {
	if s == "" {
		return nil
	}
	name, host, ok := strings.Cut(s, "@")
	if !ok || name == "" || host == "" || strings.ContainsAny(s, " \t\r\n,;<>:") || strings.Contains(host, "@") {
		return Wrong(fmt.Sprintf("%q is no address of mail", s), `write one such as "ops@example.com", or "" for none`)
	}
	return nil
}

// NoURL refuses s, which is no URL. What may have a credential in it is not shown: the text
// comes into the log.
func NoURL(s, hint string) *Flaw {
	if strings.ContainsAny(s, "@?") {
		return Wrong("is no URL", hint)
	}
	return Wrong(fmt.Sprintf("%q is no URL", s), hint)
}

// CheckDirectory accepts the URL of an ACME directory (RFC 8555 section 7.1.1), and "" for
// Let's Encrypt's.
func CheckDirectory(s string) *Flaw {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err == nil && u.User != nil:
		return Wrong("has a user name in it", "leave it out")
	case err != nil || u.Host == "":
		return NoURL(s, `write one such as "https://acme-v02.api.letsencrypt.org/directory", or "" for it`)
	case u.Scheme != "https":
		return Wrong(fmt.Sprintf("%q is not https", s), "write a URL that begins with https://")
	}
	return nil
}

// CheckStorage accepts the path of a folder.
func CheckStorage(s string) *Flaw {
	if s == "" {
		return Wrong("is empty", `write the path of a folder, such as "/var/lib/lb/acme"`)
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return Wrong(fmt.Sprintf("lb keeps certificates in a folder, and not in %s yet", scheme), `write its path, such as "/var/lib/lb/acme"; machines may share one over the network`)
	}
	return CheckFile(s)
}

// maxAgeMax is ten years: more than any list of hosts asks for.
const maxAgeMax = 10 * 366 * 24 * time.Hour

// ParseMaxAge reads a length of time in whole seconds. Zero is accepted.
func ParseMaxAge(v any) (time.Duration, *Flaw) {
	if v == "0s" {
		return 0, nil
	}
	d, f := parseDuration(v, time.Second, maxAgeMax)
	switch {
	case f != nil && strings.HasPrefix(f.Hint, "no timeout"):
		f.Hint = `use "0s" for no such field`
	case f == nil && d%time.Second != 0:
		f = Wrong(fmt.Sprintf("%q is not in whole seconds", v), fmt.Sprintf("write %q", DurationText(d.Round(time.Second))))
	}
	return d, f
}

// CheckService accepts the name of a gRPC service that a check asks for, or "" for none.
func CheckService(s string) *Flaw {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return Wrong(fmt.Sprintf("%q is no name of a service", s), `write it with its package, such as "shop.v1.Cart", or "" for the whole server`)
		}
	}
	return nil
}
