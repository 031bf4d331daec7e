package metrics

import (
	"io"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file writes the two formats of Prometheus. The client library would build, sort and
// check an object for each series first, at every scrape, in a process that serves requests
// at the same time. Here the series go from the board into a buffer that is kept.

// family is what all series of a metric have in common.
type family struct {
	name, help string
	kind       kind
}

// kind is the type of a metric, by the numbers of the protocol buffers.
type kind uint8

const (
	counter   kind = 0
	gauge     kind = 1
	histogram kind = 4
)

var kindNames = [...]string{counter: "counter", gauge: "gauge", histogram: "histogram"}

// Numbers of fields in the messages of Prometheus (io.prometheus.client, metrics.proto).
const (
	familyName, familyHelp, familyType, familyMetric = 1, 2, 3, 4
	metricLabel, metricGauge, metricCounter          = 1, 2, 3
	metricHistogram                                  = 7
	labelName, labelValue                            = 1, 2
	plainValue                                       = 1 // of a gauge or counter
)

// label is one label as both formats write it.
type label struct{ text, proto string }

// newLabel returns the label name="value". A value that is not UTF-8 is mended: a path need
// not be, a label has to be.
func newLabel(name, value string) label {
	value = valid(value)
	pair := appendString(appendString(nil, labelName, name), labelValue, value)
	return label{
		text:  name + `="` + labelEscaper.Replace(value) + `"`,
		proto: string(appendString(nil, metricLabel, string(pair))),
	}
}

// valid returns s as valid UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

var (
	labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// flushBytes is how much text an encoder collects before it writes, and the least that it
// writes at once of a long message, which it collects as a whole, because the length comes first.
const flushBytes = 64 << 10

// encoder writes metrics to w: begin for each, then its series; end at last. It keeps its
// buffers for the next scrape. One goroutine at a time uses it.
type encoder struct {
	w     io.Writer
	proto bool // protocol buffers, each after its length; else text
	err   error

	family *family // that has begun, or nil
	headed string  // the name of the last family whose HELP and TYPE are written; text only
	buf    []byte  // text, or the series of family
	small  []byte  // what comes before buf in a message, or one histogram
	spans  []span
	deltas []byte
}

// reset begins another answer.
func (e *encoder) reset(w io.Writer, proto bool) {
	*e = encoder{w: w, proto: proto, buf: e.buf[:0], small: e.small[:0], spans: e.spans, deltas: e.deltas}
}

// begin ends the metric before f, and begins f. A metric without series is left out.
func (e *encoder) begin(f *family) {
	e.endFamily()
	e.family = f
	giveWay() // its values are sums over all backends
}

// end writes what is left, and returns the first error of the writer.
func (e *encoder) end() error {
	e.endFamily()
	e.flush()
	return e.err
}

func (e *encoder) endFamily() {
	if e.proto && len(e.buf) > 0 {
		head := appendString(e.small[:0], familyName, e.family.name)
		head = appendString(head, familyHelp, e.family.help)
		head = appendUint(head, familyType, uint64(e.family.kind))
		e.small = protowire.AppendVarint(head, uint64(len(head)+len(e.buf)))
		e.write(e.small[len(head):]) // the length comes first
		e.write(e.small[:len(head)])
		e.flush()
	}
	e.family = nil
}

// write writes b, piece by piece, and gives way after each, because to compress one takes a
// tenth of a millisecond.
func (e *encoder) write(b []byte) {
	for e.err == nil && len(b) > 0 {
		n := len(b)
		if n >= 2*flushBytes {
			n = flushBytes
		}
		_, e.err = e.w.Write(b[:n])
		b = b[n:]
		if n >= flushBytes {
			giveWay()
		}
	}
}

func (e *encoder) flush() {
	if len(e.buf) > 0 {
		e.write(e.buf)
	}
	e.buf = e.buf[:0]
}

// sample writes one series of a counter or gauge. The zero label is none.
func (e *encoder) sample(value float64, labels ...label) {
	if !e.proto {
		e.line("", labels, label{}, value)
		return
	}
	const valueBytes = 1 + 8
	e.beginMetric(labels, 2+valueBytes)
	field := protowire.Number(metricCounter)
	if e.family.kind == gauge {
		field = metricGauge
	}
	e.buf = protowire.AppendTag(e.buf, field, protowire.BytesType)
	e.buf = append(e.buf, valueBytes)
	e.buf = appendDouble(e.buf, plainValue, value)
}

// beginMetric writes a message's length and its labels, with size bytes to follow.
func (e *encoder) beginMetric(labels []label, size int) {
	for _, l := range labels {
		size += len(l.proto)
	}
	e.buf = protowire.AppendTag(e.buf, familyMetric, protowire.BytesType)
	e.buf = protowire.AppendVarint(e.buf, uint64(size))
	for _, l := range labels {
		e.buf = append(e.buf, l.proto...)
	}
}

// line writes one line of text: the name of the family with suffix, labels, and last unless
// that is no label.
func (e *encoder) line(suffix string, labels []label, last label, value float64) {
	b := e.buf
	if f := e.family; f.name != e.headed {
		b = append(append(append(append(append(b, "# HELP "...), f.name...), ' '), helpEscaper.Replace(f.help)...), '\n')
		b = append(append(append(append(append(b, "# TYPE "...), f.name...), ' '), kindNames[f.kind]...), '\n')
		e.headed = f.name
	}
	b = append(append(b, e.family.name...), suffix...)
	before := byte('{')
	for _, l := range labels {
		if l.text != "" {
			b = append(append(b, before), l.text...)
			before = ','
		}
	}
	if last.text != "" {
		b = append(append(b, before), last.text...)
		before = ','
	}
	if before == ',' {
		b = append(b, '}')
	}
	e.buf = append(appendValue(append(b, ' '), value), '\n')
	if len(e.buf) >= flushBytes {
		e.flush()
	}
}

// appendValue writes whole numbers without an exponent, as people read them.
func appendValue(b []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendDouble(b []byte, field protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), math.Float64bits(v))
}

func appendUint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}
