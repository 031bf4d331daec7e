package tlsconf

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"slices"

	"lb/config"
)

const (
	// ProtocolHTTP1 is HTTP/1.1 in ALPN (RFC 7301).
	ProtocolHTTP1 = "http/1.1"
	// ProtocolH2 is HTTP/2 in ALPN (RFC 9113 3.1).
	ProtocolH2 = "h2"
	// protocolHTTP10 is all that some clients offer, such as curl with --http1.0.
	protocolHTTP10 = "http/1.0"
	// ProtocolChallenge is TLS-ALPN-01 in ALPN (RFC 8737). A conn that has agreed on it is
	// closed after the handshake.
	ProtocolChallenge = "acme-tls/1"
)

// suites are those for TLS 1.2: ephemeral keys and authenticated encryption. crypto/tls
// has an order of its own, by what the two machines are fast at.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// server returns the configuration for clients, with the certificates of book, and what
// checks those of clients.
//
// There is no 0-RTT and no renegotiation: crypto/tls has neither for servers.
func server(from *config.Config, s *Secrets, book *book) (*tls.Config, *clientCheck, error) {
	t := &from.TLS
	cfg := &tls.Config{
		GetCertificate: book.certificate,
		NextProtos:     []string{ProtocolHTTP1, protocolHTTP10},
		CipherSuites:   suites,
		MinVersion:     tls.VersionTLS12,
		// The size of records is the affair of loop/tlsconn.
		DynamicRecordSizingDisabled: true,
	}
	if from.HTTP2.Enabled {
		cfg.NextProtos = append([]string{ProtocolH2}, cfg.NextProtos...)
	}
	if t.MinVersion == config.TLS13 {
		cfg.MinVersion = tls.VersionTLS13
	}
	clients, err := askClients(cfg, t.ClientAuth, s.ClientCA)
	if err != nil {
		return nil, nil, err
	}
	if len(s.Tickets) == 0 {
		cfg.SessionTicketsDisabled = true
	} else {
		cfg.SetSessionTicketKeys(ticketKeys(s.Tickets, t.ClientAuth, s.ClientCA))
		bindTickets(cfg)
	}
	if len(book.challenges) > 0 {
		cfg.GetConfigForClient = book.challenge
	}
	return cfg, clients, nil
}

// ticketKeys returns the keys of session tickets. They depend on what is asked of clients:
// a ticket from before a change of that is worth nothing, so it lets in no client that a
// full handshake would refuse.
func ticketKeys(keys [][]byte, clientAuth string, clientCA []byte) [][32]byte {
	if clientAuth == config.ClientAuthNone {
		clientCA = nil
	}
	out := make([][32]byte, len(keys))
	for i, k := range keys {
		h := hmac.New(sha256.New, k)
		fmt.Fprintf(h, "%q", clientAuth)
		h.Write(clientCA)
		h.Sum(out[i][:0])
	}
	return out
}

// bindTickets has a ticket resume sessions for the name alone that it was given for (RFC
// 6066 3): else a client that knows one site's certificate would not see that of another.
func bindTickets(cfg *tls.Config) {
	const mark = "sni:" // other parts of crypto/tls may leave something there, too
	cfg.WrapSession = func(conn tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, []byte(mark+Name(conn.ServerName)))
		return cfg.EncryptTicket(conn, session)
	}
	cfg.UnwrapSession = func(ticket []byte, conn tls.ConnectionState) (*tls.SessionState, error) {
		session, err := cfg.DecryptTicket(ticket, conn)
		if err != nil || session == nil {
			return nil, err
		}
		want := mark + Name(conn.ServerName)
		if !slices.ContainsFunc(session.Extra, func(b []byte) bool { return string(b) == want }) {
			return nil, nil // a full handshake
		}
		return session, nil
	}
}

// book has the certificates by the names that they are for.
type book struct {
	first      *tls.Certificate              // for names that no other has, or nil
	names      map[string][]*tls.Certificate // several: of keys of different types, the best first
	challenges map[string]*tls.Config        // by name, for TLS-ALPN-01
	pairs      map[[32]byte]*tls.Certificate // all of them, see Cert.sum
}

// newBook reads certs. What stands in before, which may be nil, is not read again: that
// takes 0.2 ms for each, and there may be thousands.
func newBook(certs []Cert, before *book) (*book, error) {
	b := &book{names: map[string][]*tls.Certificate{}, challenges: map[string]*tls.Config{}, pairs: map[[32]byte]*tls.Certificate{}}
	for i := range certs {
		c := &certs[i]
		pair, err := b.pair(c, before)
		if err != nil {
			return nil, fmt.Errorf("certificate %d for clients: %w", i+1, err)
		}
		if c.Challenge != "" {
			b.challenges[Name(c.Challenge)] = &tls.Config{
				Certificates: []tls.Certificate{*pair}, NextProtos: []string{ProtocolChallenge},
				MinVersion: tls.VersionTLS12, CipherSuites: suites, SessionTicketsDisabled: true,
			}
			continue
		}
		if b.first == nil {
			b.first = pair
		}
		for _, name := range Names(pair.Leaf) {
			b.add(name, pair)
		}
	}
	return b, nil
}

// pair returns c as crypto/tls takes it.
func (b *book) pair(c *Cert, before *book) (*tls.Certificate, error) {
	sum := c.sum()
	if before == nil || before.pairs[sum] == nil {
		pair, err := tls.X509KeyPair(c.Chain, c.Key)
		b.pairs[sum] = &pair
		return &pair, err
	}
	b.pairs[sum] = before.pairs[sum]
	return b.pairs[sum], nil
}

// add puts c among the certificates of name, unless there is one of its key type.
func (b *book) add(name string, c *tls.Certificate) {
	all := b.names[name]
	same := func(o *tls.Certificate) bool {
		return o.Leaf.PublicKeyAlgorithm == c.Leaf.PublicKeyAlgorithm
	}
	if slices.ContainsFunc(all, same) {
		return
	}
	all = append(all, c)
	slices.SortStableFunc(all, func(x, y *tls.Certificate) int { return rank(x) - rank(y) })
	b.names[name] = all
}

// certificate chooses by SNI: the exact name, then the wildcard one label above, then the
// first certificate. crypto/tls refuses a client that sends a name with a trailing dot,
// as RFC 6066 3 asks.
func (b *book) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := b.names[Name(hello.ServerName)]
	if len(all) == 0 {
		all = b.names[wildcard(hello.ServerName)]
	}
	for i, c := range all {
		if i == len(all)-1 || hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	if b.first == nil {
		return nil, fmt.Errorf("there is no certificate yet")
	}
	return b.first, nil
}

// challenge returns the configuration for a client that asks for TLS-ALPN-01 (RFC 8737) of
// a name with a challenge, or nil.
func (b *book) challenge(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !slices.Contains(hello.SupportedProtos, ProtocolChallenge) {
		return nil, nil
	}
	return b.challenges[Name(hello.ServerName)], nil
}
