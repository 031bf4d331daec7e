package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// Name returns name as it is compared: in lower case, without a trailing dot.
func Name(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// Names returns the names that a certificate is for, as they are compared, "*.example.com"
// among them: those of its SAN, or the common name if there is no SAN.
func Names(leaf *x509.Certificate) []string {
	var out []string
	for _, n := range leaf.DNSNames {
		out = append(out, Name(n))
	}
	for _, ip := range leaf.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 && leaf.Subject.CommonName != "" {
		out = append(out, Name(leaf.Subject.CommonName))
	}
	return out
}

// wildcard returns the wildcard that takes name, which is one label above it, or "" if
// there is none.
func wildcard(name string) string {
	_, above, ok := strings.Cut(Name(name), ".")
	if !ok {
		return ""
	}
	return "*." + above
}

// rank orders the certificates of one name: ECDSA is the cheapest to sign with.
func rank(c *tls.Certificate) int {
	switch c.Leaf.PublicKeyAlgorithm {
	case x509.ECDSA:
		return 0
	case x509.RSA:
		return 2
	default:
		return 1
	}
}
