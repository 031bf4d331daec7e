// Package claim knows the names of claims: fields that say where a request came from, or what
// it asked for before another proxy changed that. Those with a FieldID of their own are not
// among them.
package claim

import (
	"bytes"
	"encoding/binary"
)

// families begin the names of claims, in lower case.
var families = [...]string{"x-forwarded-", "x-original-", ofCert}

// ofCert begins the names of the claims about a client's certificate.
const ofCert = "x-client-cert-"

// names are those of further claims, in lower case: those that applications and frameworks
// are known to read.
var names = [...]string{
	"x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-proxyuser-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr",
	"x-envoy-external-address", "client-ip", "true-client-ip", "cf-connecting-ip", "cf-connecting-ipv6", "fastly-client-ip",
	"x-forwarded", "forwarded-for", "x-rewrite-url", "x-scheme", "x-url-scheme", "front-end-https",
}

// words is a hash table without collisions of the first 8 bytes of all claims, and letters
// has a bit for each letter at their first and third place.
var words, letters = func() (words [64]uint64, letters [3]uint32) {
	for _, name := range append(names[:], families[:]...) {
		w := binary.LittleEndian.Uint64([]byte(name))
		place := &words[hash(w)] // x-client-ip and ofCert share theirs
		if *place != 0 && *place != w {
			panic("claim: " + name + " and another claim have one place: see hash")
		}
		*place = w
		for i := range letters {
			letters[i] |= 1 << (name[i] & 31)
		}
	}
	return words, letters
}()

// hash hashes the first 8 bytes of a name, as binary.LittleEndian reads them in lower case. If
// two claims come to one place, which panics at the start, another odd factor has to be found,
// by some hundred or thousand random ones.
func hash(w uint64) uint64 { return w * 0xcd613e30d8f16adf >> 58 }

// fold makes the letters of 8 bytes lower case, and leaves digits and hyphens.
const fold = 0x2020202020202020

// May reports whether the name of n bytes at b[i:] may be that of a claim. Most others differ
// from all of them in two letters, or in the first 8 bytes, which every claim has.
func May(b []byte, i, n int) bool {
	if n < 8 || letters[0]>>(b[i]&31)&1 == 0 || letters[2]>>(b[i+2]&31)&1 == 0 {
		return false
	}
	w := binary.LittleEndian.Uint64(b[i:]) | fold
	return words[hash(w)] == w
}

// Is reports whether name, a token, is that of a claim.
func Is(name []byte) bool {
	for _, f := range families {
		if len(name) >= len(f) && bytes.EqualFold(name[:len(f)], []byte(f)) {
			return true
		}
	}
	for _, n := range names {
		if len(name) == len(n) && bytes.EqualFold(name, []byte(n)) {
			return true
		}
	}
	return false
}

// IsOfCert reports whether name, a token, is that of a claim about the client's
// certificate. lb alone makes these: a proxy before it has another client's.
func IsOfCert(name []byte) bool {
	return len(name) >= len(ofCert) && bytes.EqualFold(name[:len(ofCert)], []byte(ofCert))
}
