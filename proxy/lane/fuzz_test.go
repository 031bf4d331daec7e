package lane

import (
	"testing"

	"lb/httpparse"
)

// FuzzLane: a chunked body comes out the same however its input and output are cut, and
// whether it goes out in chunks, in parts or as it is.
func FuzzLane(f *testing.F) {
	for _, b := range bodies {
		for _, fill := range []uint16{0, 1, 5} {
			f.Add([]byte(b.input), fill, uint16(3), uint8(0), false)
			f.Add([]byte(b.input), fill, uint16(3), uint8(0), true)
		}
	}
	f.Add([]byte("fff\r\n"+long(0xfff)+"\r\n2001\r\n"+long(0x2001)+"\r\n0\r\nA: b\r\n\r\n"), uint16(700), uint16(90), uint8(40), false)
	f.Add([]byte("x\r\n"), uint16(1), uint16(1), uint8(1), false)
	f.Add([]byte("5  \nhello\n0;\r\nA:\n b\nB : c\n\n"), uint16(1), uint16(1), uint8(1), true)
	f.Fuzz(func(t *testing.T, input []byte, fill, take uint16, slab uint8, answer bool) {
		c := course{from: httpparse.Chunked, to: httpparse.Close, input: string(input), slab: SlabBytes, fill: len(input) + 1, take: 1 << 20, answer: answer}
		raw := c.run(t)
		c.to = httpparse.Chunked
		c.fill, c.take, c.slab = int(fill)+1, int(take)+1, int(slab)+8
		cut := c.run(t)
		if raw.whole != cut.whole || raw.bad != cut.bad || raw.reason != cut.reason || raw.used != cut.used && raw.whole {
			t.Fatalf("%+v in one go, %+v in pieces", raw, cut)
		}
		if !raw.whole {
			return
		}
		if body, _, err := unchunk(cut.out); err != nil || body != raw.out {
			t.Fatalf("%q in one go, %q in pieces: %v", raw.out, cut.out, err)
		}
		c.parts = true
		parts := c.run(t)
		_, want, _ := unchunk(cut.out)
		if body, trailers, err := unchunk(parts.out); err != nil || body != raw.out || trailers != want || parts.used != cut.used {
			t.Fatalf("%q in one go, %q in parts: %v", raw.out, parts.out, err)
		}
	})
}
