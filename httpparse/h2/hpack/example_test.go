package hpack_test

import (
	"fmt"

	"lb/httpparse/h2/hpack"
)

func Example() {
	block := hpack.AppendSizeUpdate(nil, 0) // the first block of a conn: we use no table
	block = hpack.AppendStatus(block, 200)
	block = hpack.AppendField(block, []byte("Content-Type"), []byte("text/html"))
	fmt.Printf("%q\n", block)

	var table hpack.Table // one for each conn
	table.Reset(4096)
	d := hpack.NewDecoder(4096) // one for each loop
	for d.Begin(&table, block); d.Next(); {
		fmt.Printf("%s: %s (ID %d)\n", d.Name, d.Value, d.ID)
	}
	fmt.Println(d.Err())
	// Output:
	// " \x88\x0f\x10\ttext/html"
	// :status: 200 (ID 8)
	// content-type: text/html (ID 31)
	// <nil>
}
