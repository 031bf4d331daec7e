package proxyproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

const client, server = "192.0.2.1:56324", "198.51.100.9:443"

// v2 returns a header of version 2.
func v2(command, family byte, rest string) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(rest)))) + rest
}

const inet12 = "\xc0\x00\x02\x01\xc6\x33\x64\x09\xdc\x04\x01\xbb"

func tlv(kind byte, value string) string { return string(AppendTLV(nil, kind, []byte(value))) }

// summed returns a header of version 2 with the right CRC32C at its end, or another one.
func summed(wrong byte) string {
	b := []byte(v2(0x21, 0x11, inet12+tlv(Authority, "a.example")+tlv(CRC32C, "\x00\x00\x00\x00")+tlv(NoOp, "xx")))
	at := len(b) - len(tlv(NoOp, "xx")) - 4
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	b[at] ^= wrong
	return string(b)
}

// seeds are headers, and how Parse ends with each.
var seeds = []struct {
	name, text string
	kind       Kind
	from, to   string
	reason     Reason
}{
	{"v1", "PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\r\n", IP, client, server, 0},
	{"v1, IPv6", "PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n", IP, "[2001:db8::1]:0", "[::1]:65535", 0},
	{"v1, IPv6 in full", "PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 1:2:3:4:5:6:7:8 1 2\r\n", IP, "[2001:db8::1]:1", "[1:2:3:4:5:6:7:8]:2", 0},
	{"v1, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6409 56324 443\r\n", IP, client, server, 0},
	{"v1, unknown", "PROXY UNKNOWN\r\n", Own, "", "", 0},
	{"v1, unknown with addresses", "PROXY UNKNOWN ffff:f:f:f:f:f:f:ffff ffff::ffff 65535 65535\r\n", Own, "", "", 0},
	{"v1, unknown, longest", "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n", Own, "", "", 0},
	{"v1, too long", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", Own, "", "", LongLine},
	{"v1, a leading zero", "PROXY TCP4 192.0.02.1 198.51.100.9 56324 443\r\n", 0, "", "", BadLine},
	{"v1, a leading zero in a port", "PROXY TCP4 192.0.2.1 198.51.100.9 56324 0443\r\n", 0, "", "", BadLine},
	{"v1, a port too large", "PROXY TCP4 192.0.2.1 198.51.100.9 65536 443\r\n", 0, "", "", BadLine},
	{"v1, no port", "PROXY TCP4 192.0.2.1 198.51.100.9 443\r\n", 0, "", "", BadLine},
	{"v1, two spaces", "PROXY TCP4  192.0.2.1 198.51.100.9 56324 443\r\n", 0, "", "", BadLine},
	{"v1, more", "PROXY TCP4 192.0.2.1 198.51.100.9 56324 443 x\r\n", 0, "", "", BadLine},
	{"v1, the wrong family", "PROXY TCP6 192.0.2.1 198.51.100.9 56324 443\r\n", 0, "", "", BadLine},
	{"v1, the other wrong family", "PROXY TCP4 2001:db8::1 ::1 56324 443\r\n", 0, "", "", BadLine},
	{"v1, a zone", "PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n", 0, "", "", BadLine},
	{"v1, UDP", "PROXY UDP4 192.0.2.1 198.51.100.9 56324 443\r\n", 0, "", "", BadLine},
	{"v1, LF alone", "PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\n", 0, "", "", BadLine},
	{"v1, CR alone", "PROXY UNKNOWN\rx", 0, "", "", BadLine},
	{"v1, lower case", "proxy TCP4 192.0.2.1 198.51.100.9 56324 443\r\n", 0, "", "", NoHeader},
	{"HTTP", "GET / HTTP/1.1\r\n", 0, "", "", NoHeader},
	{"HTTP of another P", "POST / HTTP/1.1\r\n", 0, "", "", NoHeader},
	{"TLS", "\x16\x03\x01\x02\x00", 0, "", "", NoHeader},
	{"v2", v2(0x21, 0x11, inet12), IP, client, server, 0},
	{"v2, DGRAM", v2(0x21, 0x12, inet12), IP, client, server, 0},
	{"v2, IPv6", v2(0x21, 0x21, strings.Repeat("\x20", 16)+strings.Repeat("\x21", 16)+"\x00\x01\x00\x02"), IP,
		"[2020:2020:2020:2020:2020:2020:2020:2020]:1", "[2121:2121:2121:2121:2121:2121:2121:2121]:2", 0},
	{"v2, unix", v2(0x21, 0x31, strings.Repeat("\x00", 216)), Unix, "", "", 0},
	{"v2, unix, DGRAM, with a TLV", v2(0x21, 0x32, strings.Repeat("\x00", 216)+tlv(NoOp, "")), Unix, "", "", 0},
	{"v2, unspecified", v2(0x21, 0x00, ""), Own, "", "", 0},
	{"v2, unspecified, with whatever", v2(0x21, 0x00, "whatever"), Own, "", "", 0},
	{"v2, unspecified protocol", v2(0x21, 0x10, "x"), Own, "", "", 0},
	{"v2, local", v2(0x20, 0x00, ""), Own, "", "", 0},
	{"v2, local with an unknown family", v2(0x20, 0xff, "whatever"), Own, "", "", 0},
	{"v2, version 1", v2(0x11, 0x11, inet12), 0, "", "", BadVersion},
	{"v2, an unknown command", v2(0x22, 0x11, inet12), 0, "", "", BadCommand},
	{"v2, an unknown family", v2(0x21, 0x41, inet12), 0, "", "", BadFamily},
	{"v2, an unknown transport", v2(0x21, 0x13, inet12), 0, "", "", BadFamily},
	{"v2, too short", v2(0x21, 0x11, inet12[1:]), 0, "", "", ShortAddress},
	{"v2, too short for unix", v2(0x21, 0x31, inet12), 0, "", "", ShortAddress},
	{"v2, another signature", "\r\n\r\n\x00\r\nQUIT\r", 0, "", "", NoHeader},
	{"v2, TLVs", v2(0x21, 0x11, inet12+tlv(ALPN, "h2")+tlv(UniqueID, strings.Repeat("u", 128))+tlv(SSL, "\x01\x00\x00\x00\x00"+tlv(SSLVersion, "TLSv1.3"))+tlv(AWS, "\x01vpce-1")), IP, client, server, 0},
	{"v2, the longest", v2(0x21, 0x11, inet12+tlv(NoOp, strings.Repeat("n", 1<<16-1-len(inet12)-tlvFixed))), IP, client, server, 0},
	{"v2, a cut TLV", v2(0x21, 0x11, inet12+"\x01\x00"), 0, "", "", BadTLV},
	{"v2, a TLV that is too long", v2(0x21, 0x11, inet12+"\x01\x00\x02h"), 0, "", "", BadTLV},
	{"v2, a long id", v2(0x21, 0x11, inet12+tlv(UniqueID, strings.Repeat("u", 129))), 0, "", "", BadTLV},
	{"v2, a cut SSL", v2(0x21, 0x11, inet12+tlv(SSL, "\x01\x00\x00\x00")), 0, "", "", BadTLV},
	{"v2, a cut TLV in SSL", v2(0x21, 0x11, inet12+tlv(SSL, "\x01\x00\x00\x00\x00\x21\x00\x02T")), 0, "", "", BadTLV},
	{"v2, a short checksum", v2(0x21, 0x11, inet12+tlv(CRC32C, "\x00\x00\x00")), 0, "", "", BadTLV},
	{"v2, a checksum", summed(0), IP, client, server, 0},
	{"v2, a wrong checksum", summed(1), 0, "", "", BadChecksum},
}

// byByte reads text as it comes byte by byte, and checks that Parse is of one mind.
func byByte(t *testing.T, text []byte) (h Header, st Status) {
	t.Helper()
	for n := 0; n <= len(text) && st == More; n++ {
		jumps := n > 300 && n < len(text)-3
		if jumps { // nothing changes within a long TLV
			n = len(text) - 3
		}
		if h, st = Parse(text[:n]); st == Done && h.Len != n && !(jumps && h.Len < n) {
			t.Fatalf("%.300q: done after %d bytes, with a length of %d", text, n, h.Len)
		}
	}
	whole, at := Parse(text)
	if at != st || st == Done && (whole.Len != h.Len || whole.Kind != h.Kind || whole.Source != h.Source || !bytes.Equal(whole.TLVs, h.TLVs)) {
		t.Fatalf("%.300q: %d and %.300v byte by byte, %d and %.300v at once", text, st, h, at, whole)
	}
	return h, st
}

// addrPort returns the address in text, or the zero one for "".
func addrPort(text string) (a netip.AddrPort) {
	if text != "" {
		a = netip.MustParseAddrPort(text)
	}
	return a
}

func TestParse(t *testing.T) {
	for _, tc := range seeds {
		h, st := byByte(t, []byte(tc.text))
		if tc.reason != NoReason {
			if st != Bad || h.Reason != tc.reason {
				t.Errorf("%s: %d, %q, want it refused: %q", tc.name, st, reasons[h.Reason], tc.reason)
			}
			continue
		}
		if st != Done || h.Len != len(tc.text) || h.Kind != tc.kind || h.Source != addrPort(tc.from) || h.Destination != addrPort(tc.to) {
			t.Errorf("%s: %d, %+v", tc.name, st, h)
		}
		after, st := Parse([]byte(tc.text + "GET / HTTP/1.1\r\n\r\n"))
		if st != Done || after.Len != len(tc.text) {
			t.Errorf("%s, and a request: %d, %d bytes", tc.name, st, after.Len)
		}
	}
}

// TestNoAllocation: neither reading nor writing allocates.
func TestNoAllocation(t *testing.T) {
	for _, tc := range seeds {
		b := []byte(tc.text)
		if n := testing.AllocsPerRun(10, func() { Parse(b) }); n != 0 {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
	d := make([]byte, 0, 256)
	from, to := addrPort("[2001:db8::1]:1"), addrPort(server)
	if n := testing.AllocsPerRun(10, func() { V2.Append(V1.Append(d, from, to, nil), from, to, nil) }); n != 0 {
		t.Errorf("%v allocations to write", n)
	}
}

func TestTLVs(t *testing.T) {
	ssl := "\x03\x00\x00\x00\x00" + tlv(SSLVersion, "TLSv1.3") + tlv(SSLCN, "joe")
	h, st := Parse([]byte(v2(0x21, 0x11, inet12+tlv(NoOp, "xxx")+tlv(Authority, "a.example")+tlv(SSL, ssl))))
	if st != Done || string(Find(h.TLVs, Authority)) != "a.example" || Find(h.TLVs, UniqueID) != nil {
		t.Fatalf("%d, %+v", st, h)
	}
	secure, verified, tlvs := ReadSSL(Find(h.TLVs, SSL))
	if !secure || !verified || string(Find(tlvs, SSLVersion)) != "TLSv1.3" || string(Find(tlvs, SSLCN)) != "joe" {
		t.Errorf("%t, %t, %q", secure, verified, tlvs)
	}
	if secure, verified, tlvs := ReadSSL(nil); secure || verified || tlvs != nil {
		t.Error("an SSL that is not there says something")
	}
}

func TestAppend(t *testing.T) {
	for _, tc := range []struct {
		v        Version
		from, to string
		want     string
	}{
		{V1, client, server, seeds[0].text},
		{V1, "[2001:db8::1]:5", "[::1]:6", "PROXY TCP6 2001:db8::1 ::1 5 6\r\n"},
		{V1, "[2001:db8::1]:5", server, "PROXY TCP6 2001:db8::1 ::ffff:198.51.100.9 5 443\r\n"},
		{V1, "", server, "PROXY UNKNOWN\r\n"},
		{V1, client, "", "PROXY UNKNOWN\r\n"},
		{V2, client, server, v2(0x21, 0x11, inet12)},
		{V2, "", "", v2(0x20, 0, "")},
		{V2, client, "[::1]:1", v2(0x21, 0x21, strings.Repeat("\x00", 10)+"\xff\xff\xc0\x00\x02\x01"+strings.Repeat("\x00", 15)+"\x01\xdc\x04\x00\x01")},
	} {
		if got := string(tc.v.Append(nil, addrPort(tc.from), addrPort(tc.to), nil)); got != tc.want {
			t.Errorf("version %d, %s to %s: %q, want %q", tc.v, tc.from, tc.to, got, tc.want)
		}
	}
	for name, want := range map[string]Version{"off": Off, "": Off, "v1": V1, "v2": V2} {
		if ParseVersion(name) != want {
			t.Errorf("%q is %d", name, ParseVersion(name))
		}
	}
}

// FuzzParse: however the bytes come, the answer is the same, and a header of lb's own with the
// addresses that were found is read again.
func FuzzParse(f *testing.F) {
	for _, tc := range seeds {
		f.Add([]byte(tc.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h, st := byByte(t, text)
		if st != Done {
			if h.Len != 0 || h.TLVs != nil {
				t.Fatalf("%.300q is not read, and has %.300v", text, h)
			}
			return
		}
		if h.Len > Max || h.Len > len(text) || (h.Kind == IP) != h.Source.IsValid() || h.Source.Addr().Is4In6() {
			t.Fatalf("%.300q: %.300v", text, h)
		}
		for rest := h.TLVs; len(rest) > 0; {
			var ok bool
			if _, _, rest, ok = Next(rest); !ok {
				t.Fatalf("%.300q: the TLVs %.300q", text, h.TLVs)
			}
		}
		for fact := range Facts {
			Fact(string(AppendFacts(nil, h.TLVs)), fact)
		}
		for _, v := range []Version{V1, V2} {
			own := v.Append(nil, h.Source, h.Destination, h.TLVs)
			again, st := byByte(t, own)
			if v == V1 && len(own) > AppendMax || h.Kind == IP && Find(h.TLVs, CRC32C) == nil &&
				(st != Done || again.Source != h.Source || again.Destination != h.Destination || v == V2 && !bytes.Equal(again.TLVs, h.TLVs)) {
				t.Fatalf("%.300q of %.300v: %d, %.300v", own, h, st, again)
			}
		}
	})
}

func ExampleVersion_Append() {
	from, to := netip.MustParseAddrPort("192.0.2.1:56324"), netip.MustParseAddrPort("198.51.100.9:443")
	fmt.Printf("%q\n", V1.Append(nil, from, to, nil))
	// Output: "PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\r\n"
}

func BenchmarkParse(b *testing.B) {
	for _, tc := range seeds {
		if tc.name != "v1" && tc.name != "v2" && tc.name != "v2, a checksum" {
			continue
		}
		b.Run(tc.name, func(b *testing.B) {
			text := []byte(tc.text)
			for b.Loop() {
				Parse(text)
			}
		})
	}
}

func TestFacts(t *testing.T) {
	tlvs := tlv(Authority, "a.example") + tlv(Authority, "b.example") + tlv(UniqueID, "\x00\xff") + tlv(ALPN, "h2") + tlv(AWS, "\x01vpce-1") +
		tlv(AWS, "\x02x") + tlv(Azure, "\x01\x02\x01\x00\x00") + tlv(GCP, "\x00\x00\x00\x00\x00\x00\x01\x00") +
		tlv(SSL, "\x05\x00\x00\x00\x00"+tlv(SSLVersion, "TLSv1.2")+tlv(SSLCN, "joe")) + tlv(NetNS, strings.Repeat("é", 200)) + tlv(0xE1, "x")
	facts := string(AppendFacts(nil, []byte(tlvs)))
	for fact, want := range [Facts]string{"a.example", "h2", "00ff", "TLSv1.2", "joe", strings.Repeat("é", 127), "vpce-1", "258", "256"} {
		if got := Fact(facts, fact); got != want {
			t.Errorf("%s: %q, want %q", FactNames[fact], got, want)
		}
	}
	unverified := AppendFacts(nil, []byte(tlv(SSL, "\x03\x00\x00\x00\x01"+tlv(SSLVersion, "TLSv1.3")+tlv(SSLCN, "joe"))))
	if Fact(string(unverified), FactTLS) != "TLSv1.3" || Fact(string(unverified), FactTLSCN) != "" {
		t.Errorf("without a good certificate: %q", unverified)
	}
	many := AppendFacts(nil, []byte(strings.Repeat(tlv(Authority, strings.Repeat("a", 255)), 3)+tlv(UniqueID, strings.Repeat("\x01", 128))+
		tlv(ALPN, strings.Repeat("b", 255))+tlv(NetNS, strings.Repeat("c", 255))+tlv(AWS, "\x01"+strings.Repeat("d", 255))))
	if len(many) > FactsMax || Fact(string(many), FactALPN) == "" || Fact(string(many), FactNetNS) != "" {
		t.Errorf("%d bytes of facts", len(many))
	}
	d, b := make([]byte, 0, FactsMax), []byte(tlvs)
	if n := testing.AllocsPerRun(10, func() { AppendFacts(d, b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
