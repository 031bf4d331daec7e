package httpparse_test

import (
	"fmt"

	"lb/httpparse"
)

// A request head that arrives in two pieces. Spans are ranges of the buffer, which is
// fed with all bytes so far each time.
func ExampleRequestParser_Feed() {
	limits := httpparse.Limits{HeadBytes: 8 << 10, Fields: 100, TargetBytes: 4 << 10}
	var r httpparse.RequestParser
	r.Reset(&limits)

	buf := []byte("GET /index.html HTTP/1.1\r\nHos")
	fmt.Println("more:", r.Feed(buf) == httpparse.More)
	buf = append(buf, "t: example.com\r\nAccept: */*\r\n\r\nwhat follows"...)
	if r.Feed(buf) != httpparse.Done {
		fmt.Println("refused:", r.Reason, "at", r.ReasonOff)
		return
	}

	fmt.Printf("%s for %s\n", r.Path.Of(buf), r.Authority.Of(buf))
	for _, f := range r.Fields {
		fmt.Printf("%s = %s\n", f.Name.Of(buf), f.Value.Of(buf))
	}
	fmt.Printf("after the head: %s\n", buf[r.HeadLen:])
	// Output:
	// more: true
	// /index.html for example.com
	// Host = example.com
	// Accept = */*
	// after the head: what follows
}

// A chunked body, which ends with a trailer section.
func ExampleChunks() {
	in := []byte("5\r\nhello\r\n7;ext=dropped\r\n, world\r\n0\r\nX-Sum: 12\r\n\r\n")
	var c httpparse.Chunks
	for {
		data, n, status := c.Next(in)
		fmt.Printf("%s", data.Of(in))
		in = in[n:]
		if status == httpparse.Done {
			break
		}
		if status == httpparse.Bad || n == 0 { // n == 0: wait for more bytes
			fmt.Println("incomplete:", c.Reason)
			return
		}
	}
	fmt.Println()

	limits := httpparse.Limits{HeadBytes: 8 << 10, Fields: 100, TargetBytes: 4 << 10}
	var t httpparse.Trailers
	t.Reset(&limits, false)
	fmt.Println(t.Feed(in) == httpparse.Done, len(t.Fields))
	// Output:
	// hello, world
	// true 1
}
