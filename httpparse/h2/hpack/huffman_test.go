package hpack

import (
	"bytes"
	"math/rand/v2"
	"testing"

	xnet "golang.org/x/net/http2/hpack"
)

// TestHuffman decodes strings of each byte and of many, into room of any size, and tells
// how long they are even if they do not fit.
func TestHuffman(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dst := make([]byte, 300)
	check := func(s []byte) {
		coded := xnet.AppendHuffmanString(nil, string(s))
		clear(dst)
		for _, room := range []int{len(dst), len(s), random.IntN(len(s) + 1)} {
			n, ok := huffman.decode(dst[:room:room], coded)
			if !ok || n != len(s) || !bytes.Equal(dst[:min(n, room)], s[:min(n, room)]) {
				t.Fatalf("%x in %d bytes: %q, %d, %v, want %q", coded, room, dst[:min(n, room)], n, ok, s)
			}
		}
	}
	for c := range 256 {
		for n := range 20 {
			check(bytes.Repeat([]byte{byte(c)}, n))
		}
	}
	usual := []byte("abcdefghijklmnopqrstuvwxyz0123456789-_.%/=; ABCDEF{}\"\n\xff")
	for i := range 5000 {
		s := make([]byte, random.IntN(200))
		for j := range s {
			s[j] = usual[random.IntN(len(usual))]
			if i%4 == 0 {
				s[j] = byte(random.Uint32())
			}
		}
		check(s)
	}
}

// TestHuffmanRefusals holds random bytes against golang.org/x/net: both refuse them or
// neither does.
func TestHuffmanRefusals(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	dst := make([]byte, 300)
	refused := 0
	for range 100_000 {
		coded := make([]byte, random.IntN(24))
		for i := range coded {
			coded[i] = byte(random.Uint32()) | byte(0xff*random.IntN(2))
		}
		n, ok := huffman.decode(dst, coded)
		want, err := xnet.HuffmanDecodeToString(coded)
		if ok != (err == nil) || ok && string(dst[:n]) != want {
			t.Fatalf("%x: %q, %v, want %q, %v", coded, dst[:n], ok, want, err)
		}
		if !ok {
			refused++
		}
	}
	if refused < 1000 || refused > 99_000 {
		t.Errorf("%d of 100,000 refused: not a test of both", refused)
	}
}
