package hpack

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	xnet "golang.org/x/net/http2/hpack"
)

var updateGolden = flag.Bool("update", false, "rewrite testdata/blocks.txt")

const goldenFile = "testdata/blocks.txt"

// goldenHeads are the heads of one conn, in order.
var goldenHeads = func() (heads [][]xnet.HeaderField) {
	heads = append(heads, chromeHead, chromeHead)
	response := []xnet.HeaderField{{Name: ":status", Value: "200"}}
	for _, f := range responseHead {
		response = append(response, xnet.HeaderField{Name: strings.ToLower(f[0]), Value: f[1]})
	}
	secrets := []xnet.HeaderField{{Name: ":status", Value: "401"}, {Name: "www-authenticate", Value: "Basic"},
		{Name: "set-cookie", Value: "a=1"}, {Name: "authorization", Value: "Basic eDp5", Sensitive: true}}
	odd := []xnet.HeaderField{{Name: "x-empty"}, {Name: "x-bytes", Value: "\x01\x7f\x80\xff{}^"},
		{Name: "x-long", Value: strings.Repeat("0123456789", 20)}, {Name: strings.Repeat("n", 130), Value: "v"}}
	return append(heads, response, secrets, odd, response, chromeHead)
}()

// oursWritten writes a head as lb does.
func oursWritten(head []xnet.HeaderField) (block []byte) {
	for _, f := range head {
		block = AppendField(block, []byte(f.Name), []byte(f.Value))
	}
	return block
}

// theirsWritten returns a writer of golang.org/x/net, which changes its table's size
// before every third head.
func theirsWritten() func([]xnet.HeaderField) []byte {
	var b bytes.Buffer
	e := xnet.NewEncoder(&b)
	n := 0
	return func(head []xnet.HeaderField) []byte {
		b.Reset()
		if n++; n%3 == 0 {
			e.SetMaxDynamicTableSize(uint32(100 * n % 500))
		}
		for _, f := range head {
			_ = e.WriteField(f)
		}
		return bytes.Clone(b.Bytes())
	}
}

// writeGolden writes the file: a line for each block, the writer and the block.
func writeGolden(t *testing.T) {
	var out strings.Builder
	out.WriteString("# Blocks of goldenHeads, one after another: go test -run TestGolden -update\n")
	for _, w := range []struct {
		name  string
		write func([]xnet.HeaderField) []byte
	}{{"lb", oursWritten}, {"x/net", theirsWritten()}} {
		for _, head := range goldenHeads {
			fmt.Fprintf(&out, "%s %x\n", w.name, w.write(head))
		}
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGolden reads the blocks of the file, each writer's on a conn of its own, and checks
// that we still write ours as they are there: a change of the wire shows in the diff.
func TestGolden(t *testing.T) {
	if *updateGolden {
		writeGolden(t)
	}
	file, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	tables, heads := map[string]*Table{}, map[string]int{}
	d := NewDecoder(4096)
	for line := range strings.Lines(string(file)) {
		writer, block, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || writer == "#" {
			continue
		}
		if tables[writer] == nil {
			tables[writer] = newTable(4096)
		}
		head := goldenHeads[heads[writer]]
		heads[writer]++
		got, err := fieldsOf(t, d, tables[writer], unhex(t, block))
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "!")
		}
		var want []text
		for _, f := range head {
			want = append(want, f.Name+": "+f.Value)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, head %d: %q, %v, want %q", writer, heads[writer], got, err, want)
		}
		if now := hex.EncodeToString(oursWritten(head)); writer == "lb" && now != block {
			t.Errorf("head %d is written %s, was %s", heads[writer], now, block)
		}
	}
	if heads["lb"] != len(goldenHeads) || heads["x/net"] != len(goldenHeads) {
		t.Errorf("%v heads in the file, want %d of each", heads, len(goldenHeads))
	}
}
