package front

import "lb/httpparse"

// Reply is the head of a response for a client: one that a backend sent, or lb's own.
// It says nothing of a protocol: the front that writes it does.
type Reply struct {
	Code   int
	Phrase []byte // of the status, for HTTP/1

	// Message has the fields that are passed on, in Text, without those in Drop. It is
	// nil for a reply of lb's own.
	Message *httpparse.Message
	Text    []byte
	Drop    httpparse.FieldSet

	// Lines and Own are more field lines, each "Name: value\r\n". Own are those that
	// only one kind of reply has, such as Location; HTTP/1 writes Connection before them.
	Lines, Own []byte

	Upgrade []byte // what to change to, in a 101 or 426; else empty
	Length  int64  // of the body, in bytes, to be named; -1 for none

	Framing httpparse.Framing // of the body as it comes
	To      httpparse.Framing // of the body as it goes on; set by AppendHead
	Keep    bool              // the client's conn goes on after this response
}
