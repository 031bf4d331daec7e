package proxyproto

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// What a header may say beside addresses, as text for people. The names are those of the fields
// of the access log.
const (
	FactAuthority = iota
	FactALPN
	FactUniqueID
	FactTLS   // the version of the client's TLS
	FactTLSCN // of the client's certificate, which was verified
	FactNetNS
	FactAWS   // a VPC endpoint
	FactAzure // a LinkID
	FactGCP   // a Private Service Connect
	Facts     // the number of facts
)

// FactNames are the names, by fact.
var FactNames = [Facts]string{"authority", "alpn", "unique_id", "tls", "tls_cn", "netns", "aws", "azure", "gcp"}

// Bounds of facts, in bytes.
const (
	factMax  = 255
	FactsMax = 1 << 10
)

// AppendFacts appends what the TLVs of a header say to d, which is empty: for each fact its
// number, its length and its text. One that is too long is cut; those for which there is no room
// are left out.
func AppendFacts(d, tlvs []byte) []byte {
	for {
		kind, value, rest, ok := Next(tlvs)
		if !ok {
			return d
		}
		switch tlvs = rest; kind {
		case Authority:
			d = appendFact(d, FactAuthority, value)
		case ALPN:
			d = appendFact(d, FactALPN, value)
		case UniqueID:
			d = appendFact(d, FactUniqueID, value)
		case NetNS:
			d = appendFact(d, FactNetNS, value)
		case SSL:
			d = appendSSL(d, value)
		case AWS:
			if len(value) > 1 && value[0] == 1 {
				d = appendFact(d, FactAWS, value[1:])
			}
		case Azure:
			if len(value) == 5 && value[0] == 1 {
				d = appendNumber(d, FactAzure, uint64(binary.LittleEndian.Uint32(value[1:])))
			}
		case GCP:
			if len(value) == 8 {
				d = appendNumber(d, FactGCP, binary.BigEndian.Uint64(value))
			}
		}
	}
}

func appendSSL(d, value []byte) []byte {
	secure, verified, tlvs := ReadSSL(value)
	if !secure {
		return d
	}
	d = appendFact(d, FactTLS, Find(tlvs, SSLVersion))
	if verified {
		d = appendFact(d, FactTLSCN, Find(tlvs, SSLCN))
	}
	return d
}

// appendFact appends a fact. What is no text is written in hexadecimal digits.
func appendFact(d []byte, fact byte, value []byte) []byte {
	switch {
	case len(value) == 0 || len(find(d, int(fact))) > 0:
		return d
	case !isText(value):
		value = value[:min(len(value), factMax/2)]
		if len(d)+2+2*len(value) > FactsMax {
			return d
		}
		return hex.AppendEncode(append(d, fact, byte(2*len(value))), value)
	}
	for value = value[:min(len(value), factMax)]; !utf8.Valid(value); { // a character was cut
		value = value[:len(value)-1]
	}
	if len(d)+2+len(value) > FactsMax {
		return d
	}
	return append(append(d, fact, byte(len(value))), value...)
}

func appendNumber(d []byte, fact byte, n uint64) []byte {
	var text [20]byte
	return appendFact(d, fact, strconv.AppendUint(text[:0], n, 10))
}

// isText reports whether b is UTF-8 without control characters.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// Fact returns one of the facts that AppendFacts has put together, or "".
func Fact(facts string, fact int) string { return find(facts, fact) }

func find[B ~string | ~[]byte](facts B, fact int) (none B) {
	for len(facts) > 2 {
		kind, n := int(facts[0]), 2+int(facts[1])
		if kind == fact {
			return facts[2:n]
		}
		facts = facts[n:]
	}
	return none
}
