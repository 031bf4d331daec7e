package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// write writes text to a file of the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	testkit.WriteFile(t, path, text)
	return path
}

func derOf(t *testing.T, text []byte) string {
	t.Helper()
	b, _ := pem.Decode(text)
	return string(b.Bytes)
}

// TestUnfit: what is wrong with a pair is said with its key of lb.toml, its file, and what
// to do.
func TestUnfit(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	between := ca.Intermediate(t, "between")
	p, other := between.Issue(t, testkit.Leaf{Names: []string{"a.test"}}), ca.Issue(t, testkit.Leaf{})
	cert, key := string(p.Cert), string(p.Key)
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	for _, tc := range []struct {
		name, cert, key string
		want            string // what the error begins with; CERT and KEY are paths
	}{
		{"foreign key", cert, string(other.Key), "tls.key: KEY does not fit the certificate CERT; openssl"},
		{"chain upside down", string(between.Cert) + cert, key, "tls.cert: CERT has the certificate for the key as number 2; put it first"},
		{"DER", derOf(t, p.Cert), key, "tls.cert: CERT is a DER file; convert it with openssl x509 -inform der -in CERT"},
		{"DER key", cert, derOf(t, p.Key), "tls.key: KEY is a DER file; convert it with openssl pkey -inform der -in KEY"},
		{"PKCS#12", "\x30\x82\x01\x00\x02\x01\x03\x30", key, "tls.cert: CERT is a PKCS#12 file; convert it with openssl pkcs12"},
		{"encrypted", cert, encrypted, "tls.key: KEY is encrypted, and lb cannot ask for a passphrase; decrypt it with openssl pkey"},
		{"encrypted, the old way", cert, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
			"tls.key: KEY is encrypted"},
		{"empty", " \n", key, "tls.cert: CERT is empty"},
		{"nonsense", "nonsense", key, "tls.cert: CERT is no PEM file; it has to have -----BEGIN"},
		{"half", cert[:40], key, "tls.cert: CERT has -----BEGIN 1 times, and 0 of what begins there can be read; each"},
		{"no line between", strings.TrimSpace(cert) + string(between.Cert), key, "tls.cert: CERT has -----BEGIN 3 times, and 1 of what begins there can be read; each"},
		{"indented", "  " + cert, key, "tls.cert: CERT has -----BEGIN 2 times, and 1 of"},
		{"a broken link", cert + strings.Replace(string(between.Cert), "MII", "M*I", 1), key, "tls.cert: CERT has -----BEGIN 3 times, and 2 of what begins there can be read; each"},
		{"exchanged", key, cert, "tls.cert: CERT has no certificate, but a PRIVATE KEY"},
		{"no key", cert, cert, "tls.key: KEY has no private key in it"},
		{"broken certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key, "tls.cert: CERT has a certificate, number 1, that cannot be read: "},
		{"broken key", cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "tls.key: KEY has a key that cannot be read: "},
	} {
		c, k := file{"tls.cert", write(t, "cert", tc.cert)}, file{"tls.key", write(t, "key", tc.key)}
		_, err := loadPair(c, k)
		if err == nil {
			t.Errorf("%s: accepted", tc.name)
			continue
		}
		if got := strings.NewReplacer(c.path, "CERT", k.path, "KEY").Replace(err.Error()); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %s\nwant %s...", tc.name, got, tc.want)
		}
	}
	_, err := loadPair(file{"tls.cert", write(t, "cert", cert+string(other.Key))}, file{})
	if err == nil || !strings.Contains(err.Error(), "tls.cert: ") || !strings.Contains(err.Error(), "has a key that does not fit its certificate") {
		t.Errorf("one file: %v", err)
	}
}

// TestSpelledOtherwise: a mark of the byte order, CRLF, and texts between the blocks.
func TestSpelledOtherwise(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	between := ca.Intermediate(t, "between")
	p := between.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	text := "\ufeff" + string(p.Cert) + "subject=CN = between\n# -----BEGIN CERTIFICATE-----\n" + string(between.Cert)
	cert := file{"tls.cert", write(t, "cert", strings.ReplaceAll(text, "\n", "\r\n"))}
	l, err := loadPair(cert, file{"tls.key", write(t, "key", "\ufeff"+string(p.Key))})
	if err != nil || string(l.chain) != string(p.Cert)+string(between.Cert) {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ path, want string }{
		{filepath.Join(dir, "none"), "does not exist"},
		{dir, "is no regular file"},
		{os.DevNull, "is no regular file"},
	} {
		_, err := loadAuthorities(file{"tls.client_ca", tc.path})
		if err == nil || err.Error() != "tls.client_ca: "+tc.path+" "+tc.want {
			t.Errorf("%s: %v", tc.path, err)
		}
	}
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	path := write(t, "secret", "x")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := loadAuthorities(file{"tls.client_ca", path}); err == nil || !strings.Contains(err.Error(), "is not readable by user "+userName()) {
		t.Error(err)
	}
}

// TestDoubts: what can be served, and is doubtful.
func TestDoubts(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	between := ca.Intermediate(t, "between")
	site := testkit.Leaf{Names: []string{"a.test"}}
	weak := site
	weak.RSA = 1024
	mixed := between.Issue(t, site)
	mixed.Cert = append(ca.Issue(t, site).Cert, mixed.Cert...)
	for _, tc := range []struct {
		name string
		pair *testkit.Pair
		want string // "" for no doubt
	}{
		{"good", between.Issue(t, site), ""},
		{"signed by the root", ca.Issue(t, site), ""},
		{"expired", ca.Issue(t, site.Expired()), ""}, // Manager.remind says that
		{"early", ca.Issue(t, site.NotYet()), "is not valid before"},
		{"weak", ca.Issue(t, weak), "has an RSA key of 1024 bits"},
		{"no name", ca.Issue(t, testkit.Leaf{Subject: pkix.Name{Organization: []string{"o"}}}), "is for no name"},
	} {
		dir := t.TempDir()
		cert, key := tc.pair.Write(t, dir, "site")
		l, err := loadPair(file{"tls.cert", cert}, file{"tls.key", key})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range l.warnings {
			got = append(got, w.Error())
		}
		if text := strings.Join(got, "\n"); (tc.want == "") != (text == "") || !strings.Contains(text, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, text, tc.want)
		}
	}
	l, err := loadAuthorities(file{"tls.client_ca", write(t, "ca", string(between.Cert))})
	if err != nil || len(l.warnings) != 0 || l.leaf != nil {
		t.Errorf("authorities: %+v, %v", l, err)
	}
}

// TestMissingIntermediate: a certificate that names where its issuer's is, alone.
func TestMissingIntermediate(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	leaf := *ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}).X509
	leaf.IssuingCertificateURL = []string{"http://ca.test/ca.cer"}
	f := file{"tls.cert", "/a.pem"}
	if got := f.doubts([]*x509.Certificate{&leaf}, leaf.NotBefore); len(got) != 1 || !strings.Contains(got[0].Error(), "lacks the certificate of CN=ca") {
		t.Errorf("%v", got)
	}
	if got := f.doubts([]*x509.Certificate{&leaf, ca.X509}, leaf.NotBefore); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := f.doubts([]*x509.Certificate{&leaf, &leaf}, leaf.NotBefore); len(got) != 1 || !strings.Contains(got[0].Error(), "number 2, that has not signed") {
		t.Errorf("%v", got)
	}
}

// TestWorldReadable: a key that every user can read is served, with a warning.
func TestWorldReadable(t *testing.T) {
	cert, key := testkit.NewCA(t, "ca").Issue(t, testkit.Leaf{Names: []string{"a.test"}}).Write(t, t.TempDir(), "site")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := loadPair(file{"tls.cert", cert}, file{"tls.key", key})
	if err != nil || len(l.warnings) != 1 || l.warnings[0].Mend != "chmod o-r "+key {
		t.Errorf("%+v, %v", l, err)
	}
}
