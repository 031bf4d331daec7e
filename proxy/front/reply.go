package front

import "lb/httpparse"

// Reply is the head of a response for a client: a backend's, or lb's own. It is the same
// for every protocol; the front that writes it knows the protocol.
type Reply struct {
	Code   int
	Phrase []byte // of the status, for HTTP/1

	// Message has the fields to pass on, in Text, except those in Drop. It is nil for
	// lb's own reply.
	Message *httpparse.Message
	Text    []byte
	Drop    httpparse.FieldSet

	// Lines and Own are more field lines, each "Name: value\r\n". Own has those that
	// only one kind of reply has, such as Location.
	Lines, Own []byte

	Upgrade []byte // the protocols to change to, in a 101 or 426, or empty
	Length  int64  // the Content-Length to send, in bytes, or -1 for none

	Framing httpparse.Framing // of the body as it arrives
	To      httpparse.Framing // of the body as it is sent; set by AppendHead
	Keep    bool              // the client's conn stays open after this response
}
