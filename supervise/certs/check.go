package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"time"

	"lb/internal/tlsconf"
)

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY" // the end of all names of keys
	rsaMin    = 2048          // bits, below which a key is weak
)

// pemBegin is found where a block begins, or was meant to: indented, or in the line in which
// the one before it ends. A comment that begins with # is none.
var pemBegin = regexp.MustCompile(`(?m)(^[ \t]*|-----)-----BEGIN`)

// blocks returns the blocks of a PEM file, of which there is at least one. A block that
// cannot be read is an error: pem.Decode leaves it out, and with it a link of the chain.
func (f file) blocks(data []byte) (list []*pem.Block, err error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		list = append(list, b)
	}
	switch begun := len(pemBegin.FindAllIndex(data, -1)); {
	case begun > len(list):
		return nil, f.fault(fmt.Sprintf("has -----BEGIN %d times, and %d of what begins there can be read", begun, len(list)),
			"each BEGIN needs an END of the same name, both are lines of their own without blanks before them, and between them is base64")
	case len(list) > 0:
		return list, nil
	}
	switch kind, form := derKind(data); {
	case kind != "":
		return nil, f.fault("is a DER file", fmt.Sprintf("convert it with openssl %s -inform der -in %s -out %s.pem", kind, f.path, f.path))
	case form != "":
		return nil, f.fault("is a PKCS#12 file", fmt.Sprintf("convert it with openssl pkcs12 -in %s -noenc -out %s.pem", f.path, f.path))
	case len(bytes.TrimSpace(data)) == 0:
		return nil, f.fault("is empty", "")
	}
	return nil, f.fault("is no PEM file", "it has to have -----BEGIN ...----- in it")
}

// derKind returns the command of openssl that converts data, if it is DER, and "pkcs12" as
// form for a PKCS#12 file.
func derKind(data []byte) (kind, form string) {
	if _, err := x509.ParseCertificate(data); err == nil {
		return "x509", ""
	}
	if _, err := parseKey(data); err == nil {
		return "pkey", ""
	}
	// A sequence that begins with the version 3.
	if len(data) > 7 && data[0] == 0x30 && data[1] == 0x82 && bytes.Equal(data[4:7], []byte{2, 1, 3}) {
		return "", "pkcs12"
	}
	return "", ""
}

// certificates returns the certificates in blocks, and their PEM. There is at least one.
func (f file) certificates(blocks []*pem.Block) (list []*x509.Certificate, text []byte, err error) {
	for _, b := range blocks {
		if b.Type != certBlock {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, nil, f.fault(fmt.Sprintf("has a certificate, number %d, that cannot be read: %s", len(list)+1, strings.TrimPrefix(err.Error(), "x509: ")), "")
		}
		list = append(list, c)
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: b.Bytes})...)
	}
	if len(list) == 0 {
		return nil, nil, f.fault(fmt.Sprintf("has no certificate, but a %s", blocks[0].Type), "")
	}
	return list, text, nil
}

// privateKey returns the key in blocks, and its PEM.
func (f file) privateKey(blocks []*pem.Block) (key crypto.Signer, text []byte, err error) {
	for _, b := range blocks {
		if !strings.HasSuffix(b.Type, keyBlock) {
			continue
		}
		if strings.HasPrefix(b.Type, "ENCRYPTED") || b.Headers["DEK-Info"] != "" {
			return nil, nil, f.fault("is encrypted, and lb cannot ask for a passphrase", fmt.Sprintf("decrypt it with openssl pkey -in %s -out FILE", f.path))
		}
		if key, err = parseKey(b.Bytes); err != nil {
			return nil, nil, f.fault("has a key that cannot be read: "+err.Error(), "")
		}
		return key, pem.EncodeToMemory(&pem.Block{Type: b.Type, Bytes: b.Bytes}), nil
	}
	return nil, nil, f.fault("has no private key in it", "")
}

// parseKey reads a private key of any of the usual kinds.
func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "x509: "))
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("it is neither RSA, ECDSA nor Ed25519")
}

// fits returns what is wrong with key, of the file keyFile, for the chain list of f, or nil.
func (f file) fits(list []*x509.Certificate, key crypto.Signer, keyFile file) error {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if ok && public.Equal(list[0].PublicKey) {
		return nil
	}
	for i, c := range list[1:] {
		if ok && public.Equal(c.PublicKey) {
			return f.fault(fmt.Sprintf("has the certificate for the key as number %d", i+2), "put it first, and after it the one that has signed it")
		}
	}
	what := "does not fit the certificate " + f.path
	if f.path == keyFile.path {
		what = "has a key that does not fit its certificate"
	}
	return keyFile.fault(what, "openssl x509 -noout -pubkey and openssl pkey -pubout show which belong together")
}

// loadPair reads and checks a certificate and its key. A key without a path is in the file
// of the certificate.
func loadPair(cert, key file) (*loaded, error) {
	data, mode, err := cert.read()
	if err != nil {
		return nil, err
	}
	blocks, err := cert.blocks(data)
	if err != nil {
		return nil, err
	}
	list, chain, err := cert.certificates(blocks)
	if err != nil {
		return nil, err
	}
	if key.path == "" {
		key.key, key.path = cert.key, cert.path
	} else {
		if data, mode, err = key.read(); err != nil {
			return nil, err
		}
		if blocks, err = key.blocks(data); err != nil {
			return nil, err
		}
	}
	signer, text, err := key.privateKey(blocks)
	if err != nil {
		return nil, err
	}
	if err := cert.fits(list, signer, key); err != nil {
		return nil, err
	}
	if _, err := tls.X509KeyPair(chain, text); err != nil {
		return nil, cert.fault("is of no use: "+strings.TrimPrefix(err.Error(), "tls: "), "")
	}
	l := &loaded{chain: chain, key: text, leaf: list[0]}
	l.warnings = cert.doubts(list, time.Now())
	if mode&0o004 != 0 {
		l.warnings = append(l.warnings, key.fault("has a private key that every user of this machine can read", "chmod o-r "+key.path))
	}
	return l, nil
}

// doubts returns what may be wrong with a chain that can be served.
func (f file) doubts(list []*x509.Certificate, now time.Time) (faults []*Fault) {
	leaf := list[0]
	note := func(what, mend string) { faults = append(faults, f.fault(what, mend)) }
	if now.Before(leaf.NotBefore) {
		note("is not valid before "+leaf.NotBefore.Format(time.RFC3339), "look at the clock of this machine")
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < rsaMin {
		note(fmt.Sprintf("has an RSA key of %d bits, which is weak", key.N.BitLen()), fmt.Sprintf("use one of %d bits, or ECDSA P-256", rsaMin))
	}
	if len(tlsconf.Names(leaf)) == 0 {
		note("is for no name", "")
	}
	for i := range list[1:] {
		if !bytes.Equal(list[i].RawIssuer, list[i+1].RawSubject) {
			note(fmt.Sprintf("has a certificate, number %d, that has not signed the one before it", i+2), "the order is: the one of the site, then the one that has signed it, and so on")
			break
		}
	}
	// Authorities that all know sign by intermediate ones, and say where these are.
	if len(list) == 1 && len(leaf.IssuingCertificateURL) > 0 {
		note("lacks the certificate of "+leaf.Issuer.String()+", without which many clients do not trust it", "append it; with certbot, use fullchain.pem")
	}
	return faults
}

// loadAuthorities reads and checks a file with certificates of authorities.
func loadAuthorities(f file) (*loaded, error) {
	data, _, err := f.read()
	if err != nil {
		return nil, err
	}
	blocks, err := f.blocks(data)
	if err != nil {
		return nil, err
	}
	list, text, err := f.certificates(blocks)
	if err != nil {
		return nil, err
	}
	l := &loaded{chain: text}
	for _, c := range list {
		if now := time.Now(); now.After(c.NotAfter) {
			l.warnings = append(l.warnings, f.fault(fmt.Sprintf("has the authority %s, which expired on %s", c.Subject, c.NotAfter.Format(time.DateOnly)), ""))
		}
	}
	return l, nil
}
