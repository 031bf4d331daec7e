package metrics

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"lb/board"
)

// Histograms are exported in two ways at once: with the cumulative buckets that every
// version of Prometheus reads, of which text has no others, and natively, with all buckets
// of the board. Prometheus takes the native ones if it was started with
// --enable-feature=native-histograms, and asks for protocol buffers then.

// nativeSchema has as many buckets for each power of two as the board: 2 to the power of it.
const (
	nativeSchema     = 3
	bucketsPerOctave = 1 << nativeSchema
)

// Numbers of fields in the messages Histogram, Bucket and BucketSpan.
const (
	histogramCount, histogramSum, histogramBucket               = 1, 2, 3
	histogramSchema, histogramZeroThreshold, histogramZeroCount = 5, 6, 7
	histogramSpan, histogramDelta                               = 12, 13 // of positive values
	bucketCount, bucketBound                                    = 1, 2
	spanOffset, spanLength                                      = 1, 2
)

// bound is an upper bound of a cumulative bucket.
type bound struct {
	seconds float64
	le      label
}

func newBound(seconds float64) bound {
	return bound{seconds, newLabel("le", strconv.FormatFloat(seconds, 'g', -1, 64))}
}

var noBound = newBound(math.Inf(1))

// reading is one histogram as it was read.
type reading struct {
	bounds []bound
	counts []uint64 // cumulative, by bounds
	count  uint64
	sum    float64
	native *board.HistogramSum // or nil
}

// histogram writes one series of a histogram.
func (e *encoder) histogram(r *reading, labels ...label) {
	if !e.proto {
		for i, b := range r.bounds {
			e.line("_bucket", labels, b.le, float64(r.counts[i]))
		}
		e.line("_bucket", labels, noBound.le, float64(r.count))
		e.line("_sum", labels, label{}, r.sum)
		e.line("_count", labels, label{}, float64(r.count))
		return
	}
	b := appendUint(e.small[:0], histogramCount, r.count)
	b = appendDouble(b, histogramSum, r.sum)
	for i, at := range r.bounds {
		b = protowire.AppendTag(b, histogramBucket, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(1+protowire.SizeVarint(r.counts[i])+1+8))
		b = appendUint(b, bucketCount, r.counts[i])
		b = appendDouble(b, bucketBound, at.seconds)
	}
	if r.native != nil {
		b = e.appendNative(b, r.native)
	}
	e.small = b
	e.beginMetric(labels, 1+protowire.SizeBytes(len(b)))
	e.buf = protowire.AppendTag(e.buf, metricHistogram, protowire.BytesType)
	e.buf = protowire.AppendBytes(e.buf, b)
}

// gapMax is the longest run of empty buckets that is written as such, and not as a gap
// between two spans, which takes as many bytes.
const gapMax = 2

// span is a run of buckets of the board, without end.
type span struct{ first, end int }

// appendNative writes the native part of a histogram. What the board has up to its first
// bound is in the zero bucket, and what is above its last bound in the bucket that follows.
func (e *encoder) appendNative(b []byte, h *board.HistogramSum) []byte {
	b = appendUint(b, histogramSchema, protowire.EncodeZigZag(nativeSchema))
	b = appendDouble(b, histogramZeroThreshold, board.Bound(0))
	b = appendUint(b, histogramZeroCount, h.Counts[0])
	e.spans = spansOf(e.spans[:0], h)
	deltas, before := e.deltas[:0], int64(0)
	end := -board.FirstBound // of the span before: the first is counted from the bucket that ends at 1 s
	for _, s := range e.spans {
		offset, length := protowire.EncodeZigZag(int64(s.first-end)), uint64(s.end-s.first)
		b = protowire.AppendTag(b, histogramSpan, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(2+protowire.SizeVarint(offset)+protowire.SizeVarint(length)))
		b = appendUint(appendUint(b, spanOffset, offset), spanLength, length)
		for _, n := range h.Counts[s.first:s.end] {
			deltas = protowire.AppendVarint(deltas, protowire.EncodeZigZag(int64(n)-before))
			before = int64(n)
		}
		end = s.end
	}
	if e.deltas = deltas; len(deltas) > 0 {
		b = protowire.AppendBytes(protowire.AppendTag(b, histogramDelta, protowire.BytesType), deltas)
	}
	return b
}

// spansOf returns the runs of buckets with counts, but for the zero bucket.
func spansOf(list []span, h *board.HistogramSum) []span {
	for i := 1; i < len(h.Counts); i++ {
		n := len(list)
		switch {
		case h.Counts[i] == 0:
		case n > 0 && i-list[n-1].end <= gapMax:
			list[n-1].end = i + 1
		default:
			list = append(list, span{i, i + 1})
		}
	}
	return list
}

// octave is a power of two that is a bound of the board, and the bucket that ends there.
type octave struct {
	bound
	bucket int
}

// octaves returns every step-th power of two from 2^low to 2^high seconds.
func octaves(low, high, step int) (list []octave) {
	for k := low; k <= high; k += step {
		list = append(list, octave{newBound(math.Exp2(float64(k))), k*bucketsPerOctave - board.FirstBound})
	}
	return list
}

// set makes r the histogram h, with cumulative buckets at these bounds.
func (r *reading) set(h *board.HistogramSum, at []octave) {
	r.bounds, r.counts, r.count = r.bounds[:0], r.counts[:0], 0
	for i, n := range h.Counts {
		r.count += n
		if k := len(r.counts); k < len(at) && at[k].bucket == i {
			r.bounds, r.counts = append(r.bounds, at[k].bound), append(r.counts, r.count)
		}
	}
	r.sum, r.native = float64(h.Nanos)/1e9, h
}
