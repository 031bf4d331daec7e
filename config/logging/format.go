package logging

import (
	"fmt"
	"slices"
	"strings"

	"lb/config/value"
)

// Fields are the names that a template can have in braces. Those with a dot are parts of
// what JSON has as an object.
var Fields = []string{
	"time", "request_id", "client", "peer", "tls.version", "tls.alpn", "tls.resumed", "method", "host", "target", "protocol",
	"status", "bytes", "bytes_in", "route", "pool", "backend", "attempts",
	"phases.head", "phases.queue", "phases.connect", "phases.tls", "phases.send", "phases.first_byte", "phases.body",
	"phases.client_stall", "total_us", "total_ms", "reused", "end", "end_phase", "end_why", "end_detail", "trace_id",
	"referer", "user_agent",
	"proxy.address", "proxy.authority", "proxy.alpn", "proxy.unique_id", "proxy.tls", "proxy.tls_cn", "proxy.netns",
	"proxy.aws", "proxy.azure", "proxy.gcp",
}

// Part is a part of a template: text as it stands, or the name of one of Fields.
type Part struct {
	Text  string
	Field string // "" for text
}

// Template returns the parts of s. A phase may stand without "phases.", unless something
// else has its name; "{{" and "}}" are braces.
func Template(s string) (parts []Part, f *value.Flaw) {
	text := ""
	for s != "" {
		switch {
		case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
			text, s = text+s[:1], s[2:]
			continue
		case s[0] == '}':
			return nil, value.Wrong(`has a "}" without "{"`, `write "}}" for a brace`)
		case s[0] != '{':
			text, s = text+s[:1], s[1:]
			continue
		}
		name, rest, closed := strings.Cut(s[1:], "}")
		if !closed {
			return nil, value.Wrong(`has a "{" without "}"`, `write "{{" for a brace`)
		}
		if !slices.Contains(Fields, name) {
			if short := "phases." + name; name == "tls" || !slices.Contains(Fields, short) {
				return nil, value.Wrong(fmt.Sprintf("there is no field {%s}", name), "use "+strings.Join(Fields, ", "))
			}
			name = "phases." + name
		}
		if text != "" {
			parts = append(parts, Part{Text: text})
		}
		parts, text, s = append(parts, Part{Field: name}), "", rest
	}
	if text != "" {
		parts = append(parts, Part{Text: text})
	}
	return parts, nil
}

// CheckFormat accepts JSON, Combined, and templates with a field.
func CheckFormat(s string) *value.Flaw {
	if s == JSON || s == Combined {
		return nil
	}
	if !strings.Contains(s, "{") {
		return value.Wrong(fmt.Sprintf("there is no format %q", s), `use "json", "combined", or a template such as "{client} {method} {target} {status} {total_ms}"`)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return value.Wrong("has a control character", "remove it; a line ends by itself")
	}
	if len(s) > formatMax {
		return value.Wrong(fmt.Sprintf("is %d bytes long", len(s)), fmt.Sprintf("use at most %d", formatMax))
	}
	_, f := Template(s)
	return f
}

// formatMax is the length of the longest template, in bytes.
const formatMax = 1024
