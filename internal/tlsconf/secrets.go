package tlsconf

import (
	"crypto/sha256"
	"fmt"
)

// Secrets are what loops need for TLS beside the configuration: the contents of its files,
// the certificates that lb has got by itself, and keys that all loops share. They do not
// change once they are made. No log and no answer of lb shows them.
type Secrets struct {
	Number uint64 // counts from 1, over reloads and upgrades
	Certs  []Cert // for clients, chosen by SNI; the first is for names that no other has
	// ClientCA has the authorities for certificates of clients, in PEM.
	ClientCA []byte
	// Tickets are the keys of session tickets, of 32 bytes, the newest first.
	Tickets [][]byte
	// Pools is for TLS to backends, by pool; nil for a pool without TLS.
	Pools []*PoolSecrets
	// Tokens are the answers to HTTP-01 challenges, by token (RFC 8555 8.3).
	Tokens map[string]string
}

// Cert is a certificate with its key.
type Cert struct {
	Chain, Key []byte // PEM
	// Challenge is the name for which this certificate answers TLS-ALPN-01 (RFC 8737), and
	// nothing else; "" for every other certificate.
	Challenge string
}

// sum is the same for the same certificate with the same key.
func (c *Cert) sum() (sum [32]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d ", len(c.Chain))
	h.Write(c.Chain)
	h.Write(c.Key)
	h.Sum(sum[:0])
	return sum
}

// PoolSecrets are the contents of the files of config.BackendTLS, in PEM.
type PoolSecrets struct{ CA, ClientCert, ClientKey []byte }
