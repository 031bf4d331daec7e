// Package store has what clients of key-value stores share: the secrets and the certificates
// that their URLs name. The files are read for each connection, so that new ones are taken up.
package store

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"lb/internal/storeurl"
)

// Value is what a key has at a moment.
type Value struct {
	Data     []byte
	Found    bool   // the key is there
	Revision uint64 // of the store when Data was written
}

// Secret returns the password or the token for u, or "" if there is none.
func Secret(u storeurl.URL) (string, error) {
	if u.PasswordFile == "" {
		return u.Password, nil
	}
	data, err := os.ReadFile(u.PasswordFile)
	return strings.TrimSpace(string(data)), err
}

// TLS returns the settings for TLS to the hosts of u, or nil if it is not to be used.
func TLS(u storeurl.URL) (*tls.Config, error) {
	if !u.TLS {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.ServerName}
	if u.CA != "" {
		data, err := os.ReadFile(u.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s has no certificate in PEM; name the file of the authority as ca", u.CA)
		}
	}
	if u.Cert != "" {
		key := u.CertKey
		if key == "" {
			key = u.Cert
		}
		pair, err := tls.LoadX509KeyPair(u.Cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.Cert, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
