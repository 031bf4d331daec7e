// Package accesslog writes what is known of an exchange as one line: as JSON, in the
// combined format, or by a template; and as the entries of the flight recorder, of traces of
// heads and of spans, which are the same JSON with more in it. It does not know where a line
// goes, nor which exchanges have one.
//
// A line is valid whatever a client has sent, shows no credentials (package redact), and is
// shorter than LineMax. Nothing here allocates.
package accesslog

import (
	"bytes"

	"lb/config/logging"
	"lb/proxy/ids"
	"lb/proxy/record"
)

// LineMax is above the length of every line, in bytes, the line feed included.
const LineMax = 4096

// Subject is an exchange, with what its record does not say.
type Subject struct {
	*record.Record
	Client []byte // the address of the client, as it is believed; empty for a unix socket
	Wall   int64  // when the exchange began, in nanoseconds since 1970
	Clock  *Clock // of the loop
}

// Append appends the line of s, which ends in a line feed.
func (f *Format) Append(dst []byte, s *Subject) []byte {
	switch f.name {
	case logging.JSON:
		dst = append(dst, '{')
		dst = appendFields(dst, s, LineMax-len("{}\n")-1)
		return append(dst, "}\n"...)
	case logging.Combined:
		return append(appendCombined(dst, s), '\n')
	}
	return append(appendTemplate(dst, f.parts, s), '\n')
}

// hasHead reports whether the head of the request was whole and good.
func (s *Subject) hasHead() bool { return len(s.Head) > 0 }

// field returns the value of the first field of the request with that name, or nil.
func (s *Subject) field(name string) []byte {
	if !s.hasHead() {
		return nil
	}
	for i := range s.Request.Fields {
		f := &s.Request.Fields[i]
		if int(f.Name.Len) == len(name) && bytes.EqualFold(f.Name.Of(s.Head), []byte(name)) {
			return f.Value.Of(s.Head)
		}
	}
	return nil
}

// trace returns the id of the trace that the exchange belongs to, also where lb has no part
// in it and passes the client's traceparent on.
func (s *Subject) trace() (id [16]byte, some bool) {
	if s.Trace.ID != id || !s.hasHead() {
		return s.Trace.ID, s.Trace.ID != id
	}
	value, one, _ := s.Request.Single(s.Head, "traceparent")
	if !one {
		return id, false
	}
	p, ok := ids.ParseParent(value)
	return p.Trace, ok
}

// protocol returns the version of HTTP that the client speaks, or "" if no head has told.
func (s *Subject) protocol() string {
	switch {
	case s.Peer.HTTP2:
		return "HTTP/2"
	case !s.hasHead():
		return ""
	case s.Request.Minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// ended returns who ended the exchange: "ok" if it ended well.
func (s *Subject) ended() string {
	switch {
	case s.Fault.Cause == record.NoCause:
		return "ok"
	case s.Fault.Side == record.NoSide: // a deadline of lb has passed
		return record.LBSide.String()
	}
	return s.Fault.Side.String()
}
