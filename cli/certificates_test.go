package cli

import (
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/cli/words"
)

// someCertificates returns one certificate of each kind.
func someCertificates(noon time.Time) []api.Certificate {
	in := func(d time.Duration) time.Time { return noon.Add(d) }
	const day = 24 * time.Hour
	return []api.Certificate{
		{Name: "example.com", Names: []string{"example.com", "www.example.com"}, Issuer: "Let's Encrypt R3", Source: "file", File: "/etc/lb/site.pem", Expires: in(61 * day)},
		{Name: "old.test", Names: []string{"old.test"}, Issuer: "ca", Source: "file", File: "/etc/lb/old.pem", Expires: in(-26 * time.Hour),
			Fault: "tls.key: /etc/lb/old.key does not fit the certificate /etc/lb/old.pem", FaultAt: in(-time.Minute)},
		{Name: "soon.test", Names: []string{"soon.test"}, Issuer: "ca", Source: "file", File: "/etc/lb/soon.pem", Expires: in(30 * time.Hour), Soon: true},
		{Name: "localhost", Names: []string{"localhost"}, Issuer: "lb", Source: "internal", Expires: in(30 * time.Hour)},
		{Name: "new.test", Names: []string{"new.test"}, Fault: "no such host"},
		{Name: "lb.test", Names: []string{"lb.test"}, Issuer: "ca", Source: "file", File: "/etc/lb/lb.pem", Pool: "api", Expires: in(400 * day)},
		{Name: "(authorities)", Source: "file", File: "/etc/lb/ca.pem", Pool: "api", Fault: "pool api: tls.ca: /etc/lb/ca.pem does not exist"},
	}
}

func TestCertificates(t *testing.T) {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var got strings.Builder
	printCertificates(page{w: &got}, someCertificates(noon), noon)
	const want = `
CERTIFICATE               ISSUER            SOURCE            STATE
example.com +1            Let's Encrypt R3  /etc/lb/site.pem  expires in 61 days
old.test                  ca                /etc/lb/old.pem   expired 1d2h ago
soon.test                 ca                /etc/lb/soon.pem  expires in 1d6h
localhost                 lb                internal          expires in 1d6h
new.test                  -                 -                 none yet
lb.test (pool api)        ca                /etc/lb/lb.pem    expires in 400 days
(authorities) (pool api)  -                 /etc/lb/ca.pem    the old ones go on
! old.test: 1m0s ago: tls.key: /etc/lb/old.key does not fit the certificate /etc/lb/old.pem
! new.test: no such host
! (authorities) (pool api): pool api: tls.ca: /etc/lb/ca.pem does not exist
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	lines := strings.Join(words.CertificateProblems(someCertificates(noon), noon), "\n")
	const problems = `certificate old.test: expired 1d2h ago
certificate old.test: 1m0s ago: tls.key: /etc/lb/old.key does not fit the certificate /etc/lb/old.pem
certificate soon.test: expires in 1d6h
certificate new.test: none yet
certificate new.test: no such host
certificate (authorities) (pool api): the old ones go on
certificate (authorities) (pool api): pool api: tls.ca: /etc/lb/ca.pem does not exist`
	if lines != problems {
		t.Errorf("got\n%s\nwant\n%s", lines, problems)
	}
	got.Reset()
	if printCertificates(page{w: &got}, nil, noon); got.Len() > 0 {
		t.Errorf("without certificates: %q", got.String())
	}
}
