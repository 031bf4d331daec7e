package accesslog

import (
	"errors"
	"slices"

	"lb/config/logging"
	"lb/proxyproto"
)

// field is one field of a template.
type field uint8

const (
	fieldTime field = iota
	fieldRequestID
	fieldClient
	fieldPeer
	fieldTLSVersion
	fieldTLSALPN
	fieldTLSResumed
	fieldMethod
	fieldHost
	fieldTarget
	fieldProtocol
	fieldStatus
	fieldBytes
	fieldBytesIn
	fieldRoute
	fieldPool
	fieldBackend
	fieldAttempts
	fieldPhaseHead
	fieldPhaseQueue
	fieldPhaseConnect
	fieldPhaseTLS
	fieldPhaseSend
	fieldPhaseFirstByte
	fieldPhaseBody
	fieldPhaseClientStall
	fieldTotalMicroseconds
	fieldTotalMilliseconds
	fieldReused
	fieldEnd
	fieldEndPhase
	fieldEndWhy
	fieldEndDetail
	fieldTraceID
	fieldUserAgent
	fieldReferer
	fieldProxyAddress
	fieldFacts                                 // the first of those in a PROXY header, by fact
	fields     = fieldFacts + proxyproto.Facts // the number of fields
)

// fieldNames are the names of the fields in templates: those of logging.Fields.
var fieldNames = [fields]string{
	fieldTime:              "time",
	fieldRequestID:         "request_id",
	fieldClient:            "client",
	fieldPeer:              "peer",
	fieldTLSVersion:        "tls.version",
	fieldTLSALPN:           "tls.alpn",
	fieldTLSResumed:        "tls.resumed",
	fieldMethod:            "method",
	fieldHost:              "host",
	fieldTarget:            "target",
	fieldProtocol:          "protocol",
	fieldStatus:            "status",
	fieldBytes:             "bytes",
	fieldBytesIn:           "bytes_in",
	fieldRoute:             "route",
	fieldPool:              "pool",
	fieldBackend:           "backend",
	fieldAttempts:          "attempts",
	fieldPhaseHead:         "phases.head",
	fieldPhaseQueue:        "phases.queue",
	fieldPhaseConnect:      "phases.connect",
	fieldPhaseTLS:          "phases.tls",
	fieldPhaseSend:         "phases.send",
	fieldPhaseFirstByte:    "phases.first_byte",
	fieldPhaseBody:         "phases.body",
	fieldPhaseClientStall:  "phases.client_stall",
	fieldTotalMicroseconds: "total_us",
	fieldTotalMilliseconds: "total_ms",
	fieldReused:            "reused",
	fieldEnd:               "end",
	fieldEndPhase:          "end_phase",
	fieldEndWhy:            "end_why",
	fieldEndDetail:         "end_detail",
	fieldTraceID:           "trace_id",
	fieldUserAgent:         "user_agent",
	fieldReferer:           "referer",
	fieldProxyAddress:      "proxy.address",
}

func init() {
	for fact, name := range proxyproto.FactNames {
		fieldNames[int(fieldFacts)+fact] = "proxy." + name
	}
}

// part is a piece of a template.
type part struct {
	text  string // before the field
	field field
	last  bool // there is no field after the text: the template ends here
}

// Format is access_log.format, ready to write lines.
type Format struct {
	name  string // logging.JSON or logging.Combined; empty for a template
	parts []part
}

// Compile returns the format of that name or template. An error says which key is wrong, and
// why: the configuration refuses it, too.
func Compile(format string) (*Format, error) {
	if format == logging.JSON || format == logging.Combined {
		return &Format{name: format}, nil
	}
	list, flaw := logging.Template(format)
	if flaw != nil {
		return nil, errors.New("access_log.format: " + flaw.What)
	}
	f, text := &Format{}, ""
	for _, p := range list {
		if p.Field == "" {
			text += p.Text
			continue
		}
		i := slices.Index(fieldNames[:], p.Field)
		if i < 0 {
			return nil, errors.New("access_log.format: no field " + p.Field)
		}
		f.parts, text = append(f.parts, part{text: text, field: field(i)}), ""
	}
	f.parts = append(f.parts, part{text: text, last: true})
	return f, nil
}
