package backends

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// frame returns a masked frame, as a client sends it.
func frame(first byte, payload string) string {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := appendFrameHead(nil, first, int64(len(payload)))
	b[1] |= maskBit
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

// bare returns an unmasked frame, as a server sends it.
func bare(first byte, payload string) string {
	return string(appendFrameHead(nil, first, int64(len(payload)))) + payload
}

func closeWith(code uint16) string {
	return string(binary.BigEndian.AppendUint16(nil, code))
}

var echoCases = []struct{ name, in, want string }{
	// RFC 6455 5.7, its own bytes.
	{"masked Hello", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "\x81\x05Hello"},
	{"empty text", frame(0x81, ""), bare(0x81, "")},
	{"binary", frame(0x82, "\x00\xff\xfe"), bare(0x82, "\x00\xff\xfe")},
	{"125 bytes", frame(0x82, strings.Repeat("a", 125)), bare(0x82, strings.Repeat("a", 125))},
	{"126 bytes", frame(0x82, strings.Repeat("b", 126)), bare(0x82, strings.Repeat("b", 126))},
	{"65535 bytes", frame(0x82, strings.Repeat("c", 65535)), bare(0x82, strings.Repeat("c", 65535))},
	{"65536 bytes", frame(0x82, strings.Repeat("d", 65536)), bare(0x82, strings.Repeat("d", 65536))},
	{"fragments", frame(0x01, "Hel") + frame(0x00, "l") + frame(0x80, "o"), bare(0x01, "Hel") + bare(0x00, "l") + bare(0x80, "o")},
	{"two messages", frame(0x81, "a") + frame(0x82, "b"), bare(0x81, "a") + bare(0x82, "b")},
	{"ping", frame(0x89, "Hello"), bare(0x8A, "Hello")},
	{"ping within a message", frame(0x01, "a") + frame(0x89, "?") + frame(0x80, "b"), bare(0x01, "a") + bare(0x8A, "?") + bare(0x80, "b")},
	{"pong unasked", frame(0x8A, "Hello") + frame(0x81, "a"), bare(0x81, "a")},
	{"close", frame(0x88, ""), bare(0x88, "")},
	{"close with code", frame(0x88, closeWith(1000)+"bye"), bare(0x88, closeWith(1000))},
	{"nothing after close", frame(0x88, closeWith(4000)) + frame(0x81, "a"), bare(0x88, closeWith(4000))},

	{"not masked", bare(0x81, "Hello"), bare(0x88, closeWith(1002))},
	{"reserved bit", frame(0xC1, "a"), bare(0x88, closeWith(1002))},
	{"reserved operation", frame(0x83, "a"), bare(0x88, closeWith(1002))},
	{"reserved control operation", frame(0x8B, ""), bare(0x88, closeWith(1002))},
	{"ping in fragments", frame(0x09, "a"), bare(0x88, closeWith(1002))},
	{"ping too long", frame(0x89, strings.Repeat("a", 126)), bare(0x88, closeWith(1002))},
	{"close too long", frame(0x88, closeWith(1000)+strings.Repeat("a", 124)), bare(0x88, closeWith(1002))},
	{"continuation of nothing", frame(0x80, "a"), bare(0x88, closeWith(1002))},
	{"continuation after the last", frame(0x81, "a") + frame(0x80, "b"), bare(0x81, "a") + bare(0x88, closeWith(1002))},
	{"text within a message", frame(0x01, "a") + frame(0x81, "b"), bare(0x01, "a") + bare(0x88, closeWith(1002))},
	{"length not minimal, 16 bits", "\x81\xfe\x00\x05mask", bare(0x88, closeWith(1002))},
	{"length not minimal, 64 bits", "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xffmask", bare(0x88, closeWith(1002))},
	{"length negative", "\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00mask", bare(0x88, closeWith(1002))},
	{"message too big", "\x81\xff\x00\x00\x00\x00\x7f\xff\xff\xffmask", bare(0x88, closeWith(1009))},
	{"message too big by its second frame", frame(0x01, "a") + "\x80\xff\x00\x00\x00\x00\x04\x00\x00\x00mask", bare(0x01, "a") + bare(0x88, closeWith(1009))},
	{"close with half a code", frame(0x88, "\x03"), bare(0x88, closeWith(1002))},
	{"close with a code never sent", frame(0x88, closeWith(1005)), bare(0x88, closeWith(1002))},
	{"close with a code of no range", frame(0x88, closeWith(5000)), bare(0x88, closeWith(1002))},
	{"close reason not UTF-8", frame(0x88, closeWith(1000)+"\xff"), bare(0x88, closeWith(1007))},
}

// echoAll feeds in to a wsEcho in pieces of step bytes, with room bytes of room each
// time, until nothing is left or nothing moves.
func echoAll(t *testing.T, in []byte, step, room int) (out []byte) {
	var e wsEcho
	space := make([]byte, 0, room)
	for at, end := 0, 0; ; {
		dst, n := e.feed(space, in[at:end])
		if len(dst) > room || n > end-at {
			t.Fatalf("wrote %d bytes into %d, used %d of %d", len(dst), room, n, end-at)
		}
		out, at = append(out, dst...), at+n
		if n > 0 || len(dst) > 0 {
			continue
		}
		if end == len(in) || e.done {
			return out
		}
		end = min(end+step, len(in))
	}
}

const tight = frameRoom + controlBytesMax // the least room that feed asks for

func TestWebSocketEcho(t *testing.T) {
	for _, tc := range echoCases {
		for _, how := range []struct{ step, room int }{{1 << 20, 1 << 20}, {1, 1 << 17}, {1 << 20, tight}, {3, tight}} {
			got := echoAll(t, []byte(tc.in), how.step, how.room)
			if string(got) != tc.want {
				t.Errorf("%s, %d bytes at a time, room of %d: %.40q, want %.40q", tc.name, how.step, how.room, got, tc.want)
			}
		}
	}
}

func FuzzWebSocketEcho(f *testing.F) {
	for _, tc := range echoCases {
		f.Add([]byte(tc.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := echoAll(t, in, max(len(in), 1), len(in)+tight+64)
		if got := echoAll(t, in, 1, tight); !bytes.Equal(got, whole) {
			t.Errorf("byte by byte: %q, want as in one piece: %q", got, whole)
		}
	})
}

func TestHandshakeKey(t *testing.T) {
	// RFC 6455 1.3
	if got := appendAccept(nil, []byte("dGhlIHNhbXBsZSBub25jZQ==")); string(got) != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept value %q", got)
	}
	for key, want := range map[string]bool{
		"dGhlIHNhbXBsZSBub25jZQ==":     true,
		"":                             false,
		"dGhlIHNhbXBsZSBub25jZQ":       false,
		"dGhlIHNhbXBsZSBub25jZSE=":     false, // 17 bytes
		"dGhlIHNhbXBsZSBub25jZSEh":     false, // 18 bytes
		"dGhlIHNhbXBsZSBub2 jZQ==":     false,
		"dGhlIHNhbXBsZSBub25jZQ==\r\n": false,
	} {
		if got := validKey([]byte(key)); got != want {
			t.Errorf("key %q: valid %v, want %v", key, got, want)
		}
	}
}
