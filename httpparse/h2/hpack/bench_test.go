package hpack

import (
	"bytes"
	"testing"

	xnet "golang.org/x/net/http2/hpack"
)

// chromeHead is a usual browser's GET.
var chromeHead = []xnet.HeaderField{
	{Name: ":method", Value: "GET"},
	{Name: ":authority", Value: "www.shop.example"},
	{Name: ":scheme", Value: "https"},
	{Name: ":path", Value: "/static/js/app.3f9c2d1e.js?v=1763"},
	{Name: "sec-ch-ua", Value: `"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"`},
	{Name: "sec-ch-ua-mobile", Value: "?0"},
	{Name: "sec-ch-ua-platform", Value: `"Linux"`},
	{Name: "user-agent", Value: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
	{Name: "accept", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
	{Name: "sec-fetch-site", Value: "same-origin"},
	{Name: "sec-fetch-mode", Value: "navigate"},
	{Name: "referer", Value: "https://www.shop.example/catalogue/shoes?page=2"},
	{Name: "accept-encoding", Value: "gzip, deflate, br, zstd"},
	{Name: "accept-language", Value: "en-GB,en;q=0.9,de;q=0.8"},
	{Name: "cookie", Value: "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=analytics.no.ads.no"},
	{Name: "priority", Value: "u=0, i"},
}

// chromeBlocks returns the first block of a conn for chromeHead, and one that repeats it.
func chromeBlocks(t testing.TB) (first, again []byte) {
	t.Helper()
	var b bytes.Buffer
	e := xnet.NewEncoder(&b)
	for _, to := range []*[]byte{&first, &again} {
		b.Reset()
		for _, f := range chromeHead {
			if err := e.WriteField(f); err != nil {
				t.Fatal(err)
			}
		}
		*to = bytes.Clone(b.Bytes())
	}
	return first, again
}

// otherPath returns a block that repeats chromeHead but for the path, as browsers do: the
// path is in Huffman's code and is not indexed.
func otherPath(again []byte) []byte {
	b := append([]byte(nil), again[:3]...)
	b = literal(b, plainField|byte(Path), "", "/static/js/vendor.81cc02a7.js?v=1763", true)
	return append(b, again[4:]...)
}

var sink int

// BenchmarkDecode decodes chromeHead: new to the conn, repeated, repeated with another
// path, and as our own encoder writes it.
func BenchmarkDecode(b *testing.B) {
	first, again := chromeBlocks(b)
	var plain []byte
	for _, f := range chromeHead {
		plain = AppendField(plain, []byte(f.Name), []byte(f.Value))
	}
	for _, bc := range []struct {
		name  string
		block []byte
	}{
		{"first", first}, {"again", again}, {"path", otherPath(again)}, {"plain", plain},
	} {
		b.Run(bc.name+"/lb", func(b *testing.B) {
			d, table := NewDecoder(16384), newTable(4096)
			if _, err := fieldsOf(b, d, table, first); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				for d.Begin(table, bc.block); d.Next(); {
					sink += len(d.Name) + len(d.Value)
				}
			}
			if d.Err() != nil {
				b.Fatal(d.Err())
			}
		})
		b.Run(bc.name+"/xnet", func(b *testing.B) {
			d := xnet.NewDecoder(4096, func(f xnet.HeaderField) { sink += len(f.Name) + len(f.Value) })
			if _, err := d.Write(first); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Write(bc.block); err != nil {
					b.Fatal(err)
				}
				_ = d.Close()
			}
		})
	}
}

// responseHead is what a backend answers, as the exchange composes it.
var responseHead = [][2]string{
	{"Date", "Tue, 15 Nov 1994 08:12:31 GMT"}, {"Content-Type", "text/html; charset=utf-8"}, {"Content-Length", "5120"},
	{"Cache-Control", "max-age=3600, public"}, {"ETag", `"33a64df551425fcc55e4d42a148795d9f25f89d4"`},
	{"Strict-Transport-Security", "max-age=31536000"}, {"X-Request-Id", "7b1f3c1e-0c1c-4f6a-9a51-7d2f4f8f2f0a"}, {"Vary", "Accept-Encoding"},
}

// BenchmarkEncode writes responseHead. For comparison, that of golang.org/x/net puts all
// into its table and only refers to it afterwards.
func BenchmarkEncode(b *testing.B) {
	b.Run("lb", func(b *testing.B) {
		var fields [][2][]byte
		for _, f := range responseHead {
			fields = append(fields, [2][]byte{[]byte(f[0]), []byte(f[1])})
		}
		d := make([]byte, 0, 4096)
		b.ReportAllocs()
		for b.Loop() {
			d = AppendStatus(d[:0], 200)
			for _, f := range fields {
				d = AppendField(d, f[0], f[1])
			}
		}
		b.ReportMetric(float64(len(d)), "bytes")
	})
	b.Run("xnet", func(b *testing.B) {
		var out bytes.Buffer
		e := xnet.NewEncoder(&out)
		b.ReportAllocs()
		for b.Loop() {
			out.Reset()
			_ = e.WriteField(xnet.HeaderField{Name: ":status", Value: "200"})
			for _, f := range responseHead {
				_ = e.WriteField(xnet.HeaderField{Name: f[0], Value: f[1]})
			}
		}
		b.ReportMetric(float64(out.Len()), "bytes")
	})
}

// BenchmarkHuffman decodes values of chromeHead, beside golang.org/x/net, which allocates
// the string.
func BenchmarkHuffman(b *testing.B) {
	for _, i := range []int{3, 7, 14} {
		s := chromeHead[i].Value
		coded := xnet.AppendHuffmanString(nil, s)
		b.Run(chromeHead[i].Name+"/lb", func(b *testing.B) {
			dst := make([]byte, 1000)
			b.SetBytes(int64(len(s)))
			for b.Loop() {
				n, _ := huffman.decode(dst, coded)
				sink += n
			}
		})
		b.Run(chromeHead[i].Name+"/xnet", func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			for b.Loop() {
				s, _ := xnet.HuffmanDecodeToString(coded)
				sink += len(s)
			}
		})
	}
}
