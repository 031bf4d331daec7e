package ids

// Parent is what a traceparent says (W3C Trace Context, Level 1, 3.2): the trace, the span
// of the sender in it, and flags.
type Parent struct {
	Trace [16]byte
	Span  [8]byte
	Flags byte // of those that are known, see flagsKnown
}

// Sampled is the flag that says that the sender may have recorded its span.
const Sampled = 1

// flagsKnown are the flags that are passed on: Sampled and, of Level 2, that the id of the
// trace is random.
const flagsKnown = Sampled | 2

// The text of a traceparent is "00-", the trace, '-', the span, '-' and the flags, in hex.
const (
	version     = "00"
	traceAt     = len(version) + 1
	spanAt      = traceAt + 2*16 + 1
	flagsAt     = spanAt + SpanBytes + 1
	parentBytes = flagsAt + 2
)

// SpanBytes is the length of the id of a span as text, in bytes.
const SpanBytes = 2 * 8

// SpanText returns the id of a span as text.
func SpanText(id [8]byte) (text [SpanBytes]byte) {
	putHex(text[:], id[:])
	return text
}

// ParseParent reads the value of a traceparent. Of versions to come it reads what they have
// in common with the present one (3.2.4). ok is false for a value that is not valid, which
// says nothing.
func ParseParent(v []byte) (p Parent, ok bool) {
	if len(v) < parentBytes || v[traceAt-1] != '-' || v[spanAt-1] != '-' || v[flagsAt-1] != '-' {
		return Parent{}, false
	}
	var head, flags [1]byte
	known := unhex(head[:], v[:traceAt-1]) && unhex(p.Trace[:], v[traceAt:spanAt-1]) &&
		unhex(p.Span[:], v[spanAt:flagsAt-1]) && unhex(flags[:], v[flagsAt:parentBytes])
	switch {
	case !known, head[0] == 0xff, p.Trace == [16]byte{}, p.Span == [8]byte{}:
		return Parent{}, false
	case len(v) > parentBytes && (head[0] == 0 || v[parentBytes] != '-'):
		return Parent{}, false
	case head[0] == 0:
		p.Flags = flags[0] & flagsKnown
	default:
		p.Flags = flags[0] & Sampled
	}
	return p, true
}

// unhex reads v, twice as long as d, which has to be in lower case (3.2.2.1).
func unhex(d, v []byte) bool {
	for i := range d {
		high, low := digits[v[2*i]], digits[v[2*i+1]]
		if high|low > 0xf {
			return false
		}
		d[i] = high<<4 | low
	}
	return true
}

// digits are the values of hexadecimal digits; other bytes have one above 15.
var digits = func() (set [256]byte) {
	for i := range set {
		set[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		set[c] = byte(i)
	}
	return set
}()

// Append appends the value of a traceparent with p, and those of its flags that are known. span is where in the result the id of
// the span is.
func (p *Parent) Append(d []byte) (value []byte, span int) {
	var text [parentBytes]byte
	copy(text[:], version)
	putHex(text[traceAt:], p.Trace[:])
	putHex(text[spanAt:], p.Span[:])
	text[traceAt-1], text[spanAt-1], text[flagsAt-1] = '-', '-', '-'
	text[flagsAt], text[flagsAt+1] = '0', '0'+p.Flags&flagsKnown
	return append(d, text[:]...), len(d) + spanAt
}
