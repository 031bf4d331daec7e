package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"
)

// Leaf says what a certificate of a test is to be. The zero Leaf is a server's, without
// names, valid for a day, with an ECDSA P-256 key.
type Leaf struct {
	Names               []string // DNS names; the first is the common name, too
	IPs                 []string
	URIs                []string
	Subject             pkix.Name // its zero value: the common name alone
	RSA                 int       // bits of an RSA key; 0: ECDSA
	Client              bool      // for a client instead of a server
	CA                  bool      // an authority, see CA.Intermediate
	NotBefore, NotAfter time.Time // zero: an hour ago, in a day
}

// Expired returns l as it was valid until an hour ago.
func (l Leaf) Expired() Leaf {
	l.NotBefore, l.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	return l
}

// NotYet returns l as it will be valid in an hour.
func (l Leaf) NotYet() Leaf {
	l.NotBefore, l.NotAfter = time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)
	return l
}

// Pair is a certificate with its key, both as PEM too.
type Pair struct {
	X509      *x509.Certificate
	Signer    crypto.Signer
	Cert, Key []byte // Cert has the intermediate certificates, too, after the leaf
}

// TLS returns p as crypto/tls wants it.
func (p *Pair) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Write writes p to name.pem and name.key in dir, each in the place of the one that is
// there, and returns the two paths.
func (p *Pair) Write(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	SwapFile(t, key, string(p.Key))
	SwapFile(t, cert, string(p.Cert))
	return cert, key
}

// CA is a certificate authority of a test.
type CA struct {
	Pair
	above []byte // PEM of the intermediate certificates, from this one up, without the root
}

// NewCA returns a new authority that has signed itself.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	l := Leaf{Subject: pkix.Name{CommonName: name}, CA: true}
	return &CA{Pair: *issue(t, l, nil)}
}

// Pool returns a pool with ca alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.X509)
	return pool
}

// Write writes the certificate of ca to name.pem in dir and returns the path.
func (ca *CA) Write(t testing.TB, dir, name string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name+".pem")
	SwapFile(t, path, string(ca.Cert))
	return path
}

// Issue returns a new certificate, signed by ca.
func (ca *CA) Issue(t testing.TB, l Leaf) *Pair {
	t.Helper()
	p := issue(t, l, ca)
	p.Cert = append(p.Cert, ca.above...)
	return p
}

// Intermediate returns a new authority below ca. Its certificate goes with those that it
// issues.
func (ca *CA) Intermediate(t testing.TB, name string) *CA {
	t.Helper()
	below := &CA{Pair: *issue(t, Leaf{Subject: pkix.Name{CommonName: name}, CA: true}, ca)}
	below.above = append(append(below.above, below.Cert...), ca.above...)
	return below
}

// issue makes a key and a certificate for it, signed by ca, or by itself if ca is nil.
func issue(t testing.TB, l Leaf, ca *CA) *Pair {
	t.Helper()
	c := template(t, l)
	key := newKey(t, l.RSA)
	parent, signer := c, key
	if ca != nil {
		parent, signer = ca.X509, ca.Signer
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &Pair{
		X509: c, Signer: key,
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

// template returns the certificate that l describes, not signed yet.
func template(t testing.TB, l Leaf) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: l.Subject, DNSNames: l.Names,
		NotBefore: l.NotBefore, NotAfter: l.NotAfter, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if c.Subject.CommonName == "" && len(l.Names) > 0 {
		c.Subject.CommonName = l.Names[0]
	}
	if l.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if l.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(24 * time.Hour)
	}
	if l.Client {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if l.CA {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	}
	for _, ip := range l.IPs {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(ip))
	}
	for _, text := range l.URIs {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return c
}

// newKey returns a key: RSA with that many bits, or ECDSA P-256 if bits is 0.
func newKey(t testing.TB, bits int) (key crypto.Signer) {
	t.Helper()
	var err error
	if bits > 0 {
		key, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}
