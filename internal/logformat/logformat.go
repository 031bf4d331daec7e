// Package logformat reads access_log.format: the name of a format, or a template with fields
// in braces. The configuration refuses formats by it, and the data plane compiles them with
// it. It does not know where the value of a field comes from.
package logformat

import (
	"fmt"
	"slices"
	"strings"
)

// The names of formats that are no templates.
const (
	JSON     = "json"
	Combined = "combined"
)

// Field is one field of a template. Its name is that of the same value in JSON, with a dot
// for an object in an object.
type Field uint8

// The fields, in the order of Names.
const (
	Time Field = iota
	RequestID
	Client
	Peer
	TLSVersion
	TLSALPN
	TLSResumed
	Method
	Host
	Target
	Protocol
	Status
	Bytes
	BytesIn
	Route
	Pool
	Backend
	Attempts // their number
	PhaseHead
	PhaseQueue
	PhaseConnect
	PhaseTLS
	PhaseSend
	PhaseFirstByte
	PhaseBody
	PhaseClientStall
	TotalMicroseconds
	TotalMilliseconds
	Reused
	End
	EndPhase
	EndWhy
	EndDetail
	TraceID
	UserAgent
	Referer
	fields // the number of fields
)

var names = [fields]string{
	Time:              "time",
	RequestID:         "request_id",
	Client:            "client",
	Peer:              "peer",
	TLSVersion:        "tls.version",
	TLSALPN:           "tls.alpn",
	TLSResumed:        "tls.resumed",
	Method:            "method",
	Host:              "host",
	Target:            "target",
	Protocol:          "protocol",
	Status:            "status",
	Bytes:             "bytes",
	BytesIn:           "bytes_in",
	Route:             "route",
	Pool:              "pool",
	Backend:           "backend",
	Attempts:          "attempts",
	PhaseHead:         "phases.head",
	PhaseQueue:        "phases.queue",
	PhaseConnect:      "phases.connect",
	PhaseTLS:          "phases.tls",
	PhaseSend:         "phases.send",
	PhaseFirstByte:    "phases.first_byte",
	PhaseBody:         "phases.body",
	PhaseClientStall:  "phases.client_stall",
	TotalMicroseconds: "total_us",
	TotalMilliseconds: "total_ms",
	Reused:            "reused",
	End:               "end",
	EndPhase:          "end_phase",
	EndWhy:            "end_why",
	EndDetail:         "end_detail",
	TraceID:           "trace_id",
	UserAgent:         "user_agent",
	Referer:           "referer",
}

// Names returns the names that a template may have in braces.
func Names() []string { return slices.Clone(names[:]) }

// String returns the name of the field.
func (f Field) String() string { return names[f] }

// Part is a piece of a template.
type Part struct {
	Text  string // before Field
	Field Field
	Last  bool // there is no Field after Text: the template ends here
}

// TextMax is the longest template, in bytes.
const TextMax = 1024

// Parse reads a template. "{{" and "}}" stand for single braces. An error says what is wrong
// in words that fit after "access_log.format: ".
func Parse(format string) (parts []Part, err error) {
	if len(format) > TextMax {
		return nil, fmt.Errorf("%d bytes; at most %d are allowed", len(format), TextMax)
	}
	if i := strings.IndexFunc(format, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return nil, fmt.Errorf("a control character at byte %d; a line is one line", i+1)
	}
	text := ""
	for rest := format; ; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			text += rest
			break
		}
		text += rest[:i]
		if i+1 < len(rest) && rest[i+1] == rest[i] {
			text, rest = text+rest[i:i+1], rest[i+2:]
			continue
		}
		name, after, closed := strings.Cut(rest[i+1:], "}")
		if rest[i] == '}' || !closed {
			return nil, fmt.Errorf("%q without the other brace; write %q for a brace in the text", rest[i:i+1], rest[i:i+1]+rest[i:i+1])
		}
		f := slices.Index(names[:], name)
		if f < 0 {
			return nil, fmt.Errorf("unknown field {%s}; the fields are %s", name, strings.Join(names[:], ", "))
		}
		parts = append(parts, Part{Text: text, Field: Field(f)})
		text, rest = "", after
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%q is no name of a format, and a template has at least one field; write %q, %q, or a template such as %q",
			format, JSON, Combined, "{client} {method} {target} {status} {total_ms}")
	}
	return append(parts, Part{Text: text, Last: true}), nil
}

// Check returns what is wrong with a format, named or a template, or nil.
func Check(format string) error {
	if format == JSON || format == Combined {
		return nil
	}
	_, err := Parse(format)
	return err
}
