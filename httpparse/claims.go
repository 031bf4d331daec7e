package httpparse

import (
	"bytes"
	"encoding/binary"

	"lb/httpparse/claim"
	"lb/httpparse/list"
)

// Claims are the fields that say where a request came from, or what it asked for before
// another proxy changed that. From a client that is not trusted they are forged.
var Claims = SetOf(Forwarded, XForwardedFor, XForwardedHost, XForwardedProto, Claim, CertClaim)

// Guarded are names of fields that the configuration relies on. Applications behind WSGI
// read X_User and X-User as one variable, and some servers X.User as well (CGI, RFC 3875
// 4.1.18). So a field whose name differs from a guarded one only in bytes that are neither
// letters nor digits is an alias of it. A nil *Guarded has no names.
type Guarded struct {
	names []string
	odd   bool // one of the names has other bytes than letters, digits and hyphens
}

// NewGuarded returns the guarded names.
func NewGuarded(names []string) *Guarded {
	g := &Guarded{names: names}
	for _, name := range names {
		g.odd = g.odd || scanName([]byte(name), 0) < len(name)
	}
	return g
}

// has reports whether name is guarded, or an alias of a guarded name.
func (g *Guarded) has(name []byte) (guarded, alias bool) {
	if g == nil {
		return false, false
	}
	for _, n := range g.names {
		if len(n) != len(name) {
			continue
		}
		if bytes.EqualFold(name, []byte(n)) {
			return true, false
		}
		alias = alias || sameFolded(name, n)
	}
	return false, alias
}

// sameFolded reports whether some application reads two names of one length as one.
func sameFolded(a []byte, b string) bool {
	for i, c := range a {
		if foldName(c) != foldName(b[i]) {
			return false
		}
	}
	return true
}

// foldName returns a letter in lower case, a digit as it is, and a hyphen for any other byte.
func foldName(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// aliasMax is longer than all names that ownAlias compares whole.
const aliasMax = 64

// unaliased are the fields whose aliases are not passed on: claims, of which lb writes some,
// and those that frame a message.
var unaliased = Claims | SetOf(ContentLength, TransferEncoding, KeepAlive, ProxyConnection, HTTP2Settings, MaxForwards)

// ownAlias reports whether name is an alias of a claim or of a field that frames a message.
func ownAlias(name []byte) bool {
	var folded [aliasMax]byte
	n := min(len(name), aliasMax)
	for i, c := range name[:n] {
		folded[i] = foldName(c)
	}
	return unaliased.Has(fieldID(folded[:], 0, n)) || claim.May(folded[:], 0, n) && claim.Is(folded[:n])
}

// MayForge reports whether HideForged may hide something: most requests have none of these
// fields, and no name with odd bytes.
func (m *Message) MayForge(g *Guarded) bool {
	return m.Seen&Claims != 0 || m.odd || m.Nominated || g != nil && g.odd
}

// HideForged hides the fields that must not reach a backend nor decide anything: the
// claims of a client that is not trusted, and from any client those about its certificate,
// the aliases of claims and of names in g, and what its Connection nominates. A trusted proxy overwrites a field that it
// vouches for, not its alias. b is the buffer that m was parsed from.
func (m *Message) HideForged(b []byte, trusted bool, g *Guarded) {
	if m.Nominated {
		m.hideNominated(b)
	}
	if !trusted && m.Seen&Claims != 0 || m.Seen.Has(CertClaim) {
		for i := range m.Fields {
			if f := &m.Fields[i]; f.ID == CertClaim || !trusted && Claims.Has(f.ID) {
				f.hidden = true
			}
		}
	}
	if !m.odd && (g == nil || !g.odd) {
		return
	}
	for i := range m.Fields {
		f := &m.Fields[i]
		name := f.Name.Of(b)
		if _, alias := g.has(name); alias || f.ID == Other && ownAlias(name) {
			f.hidden = true
		}
	}
}

// forLB are the fields that lb obeys itself although Connection nominates them.
var forLB = SetOf(Connection, TE, Trailer, Upgrade, Expect, MaxForwards)

// hideNominated hides the fields that Connection nominates: a backend does not get them, so
// they choose none.
func (m *Message) hideNominated(b []byte) {
	for i := range m.Fields {
		if f := &m.Fields[i]; !forLB.Has(f.ID) && m.Nominates(b, *f) {
			f.hidden = true
		}
	}
}

// Withheld are the names of trailers that are not passed on although others might be. The
// zero value has those that no message passes on: claims, and aliases of claims and of
// framing fields.
type Withheld struct {
	guarded   *Guarded
	nominated []byte // the names in Connection, or nil if there are none
}

// NewWithheld returns the names of trailers that the message m with guarded fields withholds:
// the guarded fields and their aliases, and what its Connection nominates. b is the buffer
// that m was parsed from. It allocates only if fields are nominated.
func NewWithheld(b []byte, m *Message, g *Guarded) Withheld {
	w := Withheld{guarded: g}
	if !m.Nominated {
		return w
	}
	for i := range m.Fields {
		if f := &m.Fields[i]; f.ID == Connection {
			w.nominated = append(append(w.nominated, f.Value.Of(b)...), ',')
		}
	}
	return w
}

// Hide hides the trailers in t that are withheld. b is the buffer that t was fed.
func (w *Withheld) Hide(b []byte, t *Trailers) {
	for i := range t.Fields {
		f := &t.Fields[i]
		name := f.Name.Of(b)
		guarded, alias := w.guarded.has(name)
		if guarded || alias || Claims.Has(f.ID) || ownAlias(name) || w.nominated != nil && list.HasName(w.nominated, name) {
			f.hidden = true
		}
	}
}

// nameStops marks everything but letters, digits and '-'.
func nameStops(w uint64) uint64 {
	x := w &^ highs
	y := x | 0x20*ones
	letter := (y + 0x1f*ones) ^ (y + 0x05*ones) // 0x61 to 0x7a
	digit := (x + 0x50*ones) ^ (x + 0x46*ones)  // 0x30 to 0x39
	dash := (x + 0x53*ones) ^ (x + 0x52*ones)   // 0x2d
	return (^(letter | digit | dash) | w) & highs
}

// scanName returns the index of the first byte from i on that is not a letter, digit or
// '-', or len(b).
func scanName(b []byte, i int) int {
	for ; i <= len(b)-8; i += 8 {
		if m := nameStops(binary.LittleEndian.Uint64(b[i : i+8 : i+8])); m != 0 {
			return i + firstMark(m)
		}
	}
	return i + firstMark(nameStops(tail(b, i)))
}
