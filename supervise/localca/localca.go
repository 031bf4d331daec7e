// Package localca is lb's internal certificate authority. It vouches for names that no
// public authority knows, such as localhost, and for other names until their own
// certificates have come. Nobody believes it before its root is trusted, see `lb trust`.
// It knows nothing of ACME, and keeps nothing but its root.
package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	folder   = "internal" // in the storage
	rootFile = "root.pem"
	keyFile  = "root.key"

	rootLife = 10 * 365 * 24 * time.Hour
	// rootRenewal is how long before its end a root is replaced: no leaf may outlive it.
	rootRenewal = 90 * 24 * time.Hour
	// skew is how far the clock of a client may be behind ours.
	skew = time.Hour
)

// Authority signs certificates. Any goroutine may use it.
type Authority struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Internal reports whether name, in lower case, is one that only the internal authority
// vouches for: localhost and names below it, names below "internal", IP addresses.
func Internal(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".internal")
}

// RootPath returns where the root is, in PEM, if the storage has one.
func RootPath(storage string) string { return filepath.Join(storage, folder, rootFile) }

// Open returns the authority of the storage, which is made the first time. Several
// processes may open it at once, and all get the same one.
func Open(storage string, now time.Time) (*Authority, error) {
	dir := filepath.Join(storage, folder)
	a, err := read(dir)
	if err == nil && now.After(a.root.NotAfter.Add(-rootRenewal)) {
		// Where this fails another process has done it, or the old root goes on.
		os.Rename(dir, dir+a.root.NotAfter.UTC().Format("-until-2006-01-02"))
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(storage, dir, now); err != nil {
			return nil, fmt.Errorf("making the internal authority: %w", err)
		}
		a, err = read(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the internal authority in %s cannot be used: %w; remove that folder to have another one made", dir, err)
	}
	return a, nil
}

// read returns the authority whose files are in dir.
func read(dir string) (*Authority, error) {
	rootPEM, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil {
		return nil, err
	}
	root, err := parseRoot(rootPEM)
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) { // a new one would not be the one that is trusted
		return nil, fmt.Errorf("%s is missing", keyFile)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%s has no key in PEM", keyFile)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	if !key.PublicKey.Equal(root.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", keyFile, rootFile)
	}
	return &Authority{root, key}, nil
}

// parseRoot returns the certificate in text.
func parseRoot(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s has no certificate in PEM", rootFile)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rootFile, err)
	}
	return root, nil
}

// create makes a root and its key in dir, a folder of storage. Both come there by one
// rename, which fails if another process was first: then there is nothing left to do.
func create(storage, dir string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"lb"}, CommonName: "lb internal authority " + now.UTC().Format("2006-01-02 15:04:05")},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(rootLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := sign(template, template, key, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	made, err := os.MkdirTemp(storage, folder+"-new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made) // unless it was renamed
	if err := os.WriteFile(filepath.Join(made, keyFile), encode("EC PRIVATE KEY", keyDER), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(made, rootFile), encode("CERTIFICATE", der), 0o644); err != nil {
		return err
	}
	if err := os.Rename(made, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil
		}
		return err
	}
	return nil
}

// Leaf is a certificate with its key.
type Leaf struct {
	By           *Authority
	Names        []string
	Chain, Key   []byte // PEM
	Since, Until time.Time
}

// Leaf returns a new certificate for names, some of which may be IP addresses. It is good
// for life from now on.
func (a *Authority) Leaf(names []string, now time.Time, life time.Duration) (*Leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"lb"}},
		NotBefore:   now.Add(-skew),
		NotAfter:    now.Add(life).Truncate(time.Second),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := sign(template, a.root, key, a.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &Leaf{
		By:    a,
		Names: names,
		Chain: encode("CERTIFICATE", der),
		Key:   encode("EC PRIVATE KEY", keyDER),
		Since: now.Round(0), // of the calendar: a machine that sleeps ages, too
		Until: template.NotAfter,
	}, nil
}

// sign returns template for the public half of key, signed by parent.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	return x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
}

// encode returns der in PEM.
func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
