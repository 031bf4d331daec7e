package rewrite

import (
	"time"

	"lb/httpparse"
	"lb/loop/tick"
)

const (
	datePrefix = "Date: "
	dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT" // RFC 9110 5.6.7
	dateBytes  = len(datePrefix) + len(dateFormat) + len(crlf)
)

// Date is the Date field line of a loop, at most a second old.
type Date struct {
	clock func() time.Time
	line  [dateBytes]byte
	at    tick.Instant // when line was made, or 0 before that
}

// NewDate returns a Date that asks clock for the time of day.
func NewDate(clock func() time.Time) Date { return Date{clock: clock} }

// Line returns the line at now (RFC 9110 6.6.1). It is valid until the next call.
func (d *Date) Line(now tick.Instant) []byte {
	if d.at == 0 || now.Sub(d.at) >= time.Second {
		line := d.clock().UTC().AppendFormat(append(d.line[:0], datePrefix...), dateFormat)
		_ = append(line, crlf...)
		d.at = now
	}
	return d.line[:]
}

// phrases are the reason phrases of status codes (RFC 9110 15, and the registry of IANA), by
// the first digit and the rest.
var phrases = [...][][]byte{
	1: {
		0: []byte("Continue"),
		1: []byte("Switching Protocols"),
		2: []byte("Processing"),
		3: []byte("Early Hints"),
	},
	2: {
		0:  []byte("OK"),
		1:  []byte("Created"),
		2:  []byte("Accepted"),
		3:  []byte("Non-Authoritative Information"),
		4:  []byte("No Content"),
		5:  []byte("Reset Content"),
		6:  []byte("Partial Content"),
		7:  []byte("Multi-Status"),
		8:  []byte("Already Reported"),
		26: []byte("IM Used"),
	},
	3: {
		0: []byte("Multiple Choices"),
		1: []byte("Moved Permanently"),
		2: []byte("Found"),
		3: []byte("See Other"),
		4: []byte("Not Modified"),
		5: []byte("Use Proxy"),
		7: []byte("Temporary Redirect"),
		8: []byte("Permanent Redirect"),
	},
	4: {
		0:  []byte("Bad Request"),
		1:  []byte("Unauthorized"),
		2:  []byte("Payment Required"),
		3:  []byte("Forbidden"),
		4:  []byte("Not Found"),
		5:  []byte("Method Not Allowed"),
		6:  []byte("Not Acceptable"),
		7:  []byte("Proxy Authentication Required"),
		8:  []byte("Request Timeout"),
		9:  []byte("Conflict"),
		10: []byte("Gone"),
		11: []byte("Length Required"),
		12: []byte("Precondition Failed"),
		13: []byte("Content Too Large"),
		14: []byte("URI Too Long"),
		15: []byte("Unsupported Media Type"),
		16: []byte("Range Not Satisfiable"),
		17: []byte("Expectation Failed"),
		21: []byte("Misdirected Request"),
		22: []byte("Unprocessable Content"),
		23: []byte("Locked"),
		24: []byte("Failed Dependency"),
		25: []byte("Too Early"),
		26: []byte("Upgrade Required"),
		28: []byte("Precondition Required"),
		29: []byte("Too Many Requests"),
		31: []byte("Request Header Fields Too Large"),
		51: []byte("Unavailable For Legal Reasons"),
	},
	5: {
		0:  []byte("Internal Server Error"),
		1:  []byte("Not Implemented"),
		2:  []byte("Bad Gateway"),
		3:  []byte("Service Unavailable"),
		4:  []byte("Gateway Timeout"),
		5:  []byte("HTTP Version Not Supported"),
		6:  []byte("Variant Also Negotiates"),
		7:  []byte("Insufficient Storage"),
		8:  []byte("Loop Detected"),
		11: []byte("Network Authentication Required"),
	},
}

// Phrase returns the reason phrase of code, or nothing if it is not known.
func Phrase(code int) []byte {
	if first, rest := code/100, code%100; first < len(phrases) && rest < len(phrases[first]) {
		return phrases[first][rest]
	}
	return nil
}

// phraseOf returns the reason phrase of m, whose buffer is b. Without one, as in all of
// HTTP/2, it is that of the code.
func phraseOf(m *httpparse.Response, b []byte) []byte {
	if m.Phrase.Len == 0 {
		return Phrase(m.Code)
	}
	return m.Phrase.Of(b)
}
