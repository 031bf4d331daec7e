package shake

import "lb/internal/tlsconf"

// CertBytes bounds the field lines of certLines.
const CertBytes = 4 << 10

// certLines returns the field lines that tell a backend about the certificate that a client
// has shown. Without one there are none: a client cannot send fields of these names itself.
func certLines(id tlsconf.Identity, shown bool) string {
	if !shown {
		return ""
	}
	lines := "X-Client-Cert-Fingerprint: " + id.Fingerprint + "\r\n"
	if !id.Verified {
		return lines + "X-Client-Cert-Verified: no (" + id.Reason + ")\r\n"
	}
	lines += "X-Client-Cert-Verified: yes\r\n"
	if id.Subject != "" {
		lines += "X-Client-Cert-Subject: " + id.Subject + "\r\n"
	}
	if id.SAN != "" {
		lines += "X-Client-Cert-SAN: " + id.SAN + "\r\n"
	}
	return lines
}
