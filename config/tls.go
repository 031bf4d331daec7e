package config

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Listener is one address at which clients connect.
type Listener struct {
	Address       string // host:port, :port (IPv6 and IPv4), [v6]:port or unix:/path
	TLS           bool   // clients speak TLS
	RedirectHTTPS bool   // every request is answered with a 308 to https
	ProxyProtocol bool   // every conn begins with a PROXY header, and comes from a trusted proxy

	Allow, Deny []netip.Prefix // networks of clients; no Allow: all that Deny has not
}

// Listening returns where clients connect: Listeners, or one listener at Host and Port,
// which speaks TLS if there is a certificate.
func (c *Config) Listening() []Listener {
	if len(c.Listeners) > 0 {
		return c.Listeners
	}
	return []Listener{{Address: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), TLS: c.TLS.HasCert()}}
}

// The lowest versions of TLS that a client may speak.
const (
	TLS12 = "1.2"
	TLS13 = "1.3"
)

// What is asked of a client in the handshake.
const (
	ClientAuthNone    = "none"    // no certificate
	ClientAuthRequest = "request" // a certificate, and it is served without one, too
	ClientAuthRequire = "require" // a certificate of one of the authorities in ClientCA
)

// TLS are the settings of TLS from clients.
type TLS struct {
	Certs      []Cert        // chosen by SNI; the first is for names that no other has
	MinVersion string        // TLS12 or TLS13
	ClientAuth string        // ClientAuthNone, ClientAuthRequest or ClientAuthRequire
	ClientCA   string        // path of a PEM file
	HSTS       time.Duration // max-age of Strict-Transport-Security; 0: not sent
	ACME       ACME
}

// HasCert reports whether there is a certificate for clients, or will be one.
func (t *TLS) HasCert() bool { return len(t.Certs) > 0 || len(t.ACME.Names) > 0 }

// Cert is a certificate in files.
type Cert struct {
	Cert string // path of the chain in PEM, the leaf first
	Key  string // path of the key in PEM; "": in the file Cert
}

// ACME are the settings of certificates that lb gets by itself.
type ACME struct {
	Names       []string // that the certificates are for, in lower case
	Email       string   // of the account; "" for none
	Directory   string   // URL; "": Let's Encrypt
	DirectoryCA string   // path of a PEM file with the authority of Directory; "": the system's
	Storage     string   // path of a folder for accounts, keys and certificates
}

// BackendTLS are the settings of TLS to the backends of a pool.
type BackendTLS struct {
	CA         string // path of a PEM file with the authorities that are believed; "": the system's
	ServerName string // in SNI and in the certificate; "": the backend's host
	ClientCert string // path of lb's own chain in PEM; "" for none
	ClientKey  string // path of its key
	Insecure   bool   // certificates are not verified
}
