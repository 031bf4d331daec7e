package rewrite

import (
	"time"

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

// phrases are the reason phrases of the replies that lb makes itself.
var phrases = [...]struct {
	code   int
	phrase []byte
}{
	{200, []byte("OK")},
	{301, []byte("Moved Permanently")},
	{302, []byte("Found")},
	{303, []byte("See Other")},
	{307, []byte("Temporary Redirect")},
	{308, []byte("Permanent Redirect")},
	{400, []byte("Bad Request")},
	{404, []byte("Not Found")},
	{408, []byte("Request Timeout")},
	{413, []byte("Content Too Large")},
	{414, []byte("URI Too Long")},
	{421, []byte("Misdirected Request")},
	{431, []byte("Request Header Fields Too Large")},
	{501, []byte("Not Implemented")},
	{502, []byte("Bad Gateway")},
	{503, []byte("Service Unavailable")},
	{504, []byte("Gateway Timeout")},
	{505, []byte("HTTP Version Not Supported")},
}

var otherPhrase = []byte("Internal Server Error")

// Phrase returns the reason phrase of lb's own reply with this code.
func Phrase(code int) []byte {
	for i := range phrases {
		if phrases[i].code == code {
			return phrases[i].phrase
		}
	}
	return otherPhrase
}
