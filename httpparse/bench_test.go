package httpparse

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	smallHead = "GET /index.html HTTP/1.1\r\nHost: h1.test:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"
	smallPost = "POST /api/v1/items HTTP/1.1\r\nHost: h1.test\r\nContent-Type: text/plain\r\nContent-Length: 16384\r\n\r\n"
	okHead    = "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n"
)

// wideHead has 20 more fields of about 55 bytes.
var wideHead = func() string {
	var s strings.Builder
	s.WriteString(strings.TrimSuffix(smallHead, "\r\n"))
	for i := range 20 {
		fmt.Fprintf(&s, "X-Header-Number-%02d: %s\r\n", i, strings.Repeat("v", 35))
	}
	return s.String() + "\r\n"
}()

var benchHeads = []struct{ name, head string }{
	{"small", smallHead}, {"post", smallPost}, {"wide", wideHead},
}

func BenchmarkRequest(b *testing.B) {
	for _, bc := range benchHeads {
		b.Run(bc.name, func(b *testing.B) {
			var r RequestParser
			in := []byte(bc.head)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				r.Reset(&testLimits)
				if r.Feed(in) != Done {
					b.Fatal(r.Reason)
				}
			}
		})
	}
}

func BenchmarkNetHTTP(b *testing.B) {
	for _, bc := range benchHeads {
		b.Run(bc.name, func(b *testing.B) {
			src := bytes.NewReader([]byte(bc.head))
			in := bufio.NewReader(src)
			b.ReportAllocs()
			b.SetBytes(int64(len(bc.head)))
			for b.Loop() {
				src.Reset([]byte(bc.head))
				in.Reset(src)
				if _, err := http.ReadRequest(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkResponse(b *testing.B) {
	var r ResponseParser
	in := []byte(okHead)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		r.Reset(&testLimits, GET)
		if r.Feed(in) != Done {
			b.Fatal(r.Reason)
		}
	}
}

func BenchmarkAppendFields(b *testing.B) {
	for _, bc := range benchHeads {
		b.Run(bc.name, func(b *testing.B) {
			var r RequestParser
			in, out := []byte(bc.head), make([]byte, 0, 4096)
			r.Reset(&testLimits)
			r.Feed(in)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				out = AppendFields(out[:0], in, &r.Message, SetOf(Host, Connection))
			}
		})
	}
}

func BenchmarkChunks(b *testing.B) {
	for _, size := range []int{16, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var c Chunks
			in := []byte(fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("d", size)))
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				for n := 0; n < len(in); {
					_, k, st := c.Next(in[n:])
					if n += k; st != More {
						b.Fatal(c.Reason)
					}
				}
			}
		})
	}
}
