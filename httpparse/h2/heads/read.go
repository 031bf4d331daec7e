package heads

import (
	"bytes"
	"math"

	"lb/httpparse"
	"lb/httpparse/h2/hpack"
)

// The pseudo-fields, as bits of text.seen and indexes of text.pseudo.
const (
	method = iota
	scheme
	path
	authority
	protocol
	status
	pseudos
	noPseudo = pseudos
)

// Reader decodes blocks into HTTP/1 text. A loop has one for all of its conns; its memory
// is that of one head.
type Reader struct {
	decoder *hpack.Decoder
	saved   []byte // pseudo-fields, then cookies
	text
}

// NewReader returns a Reader for heads of headBytes at most, and tables of tableBytes.
func NewReader(headBytes, tableBytes int) *Reader {
	return &Reader{decoder: hpack.NewDecoder(max(headBytes, tableBytes))}
}

// text is a block on its way to HTTP/1 text.
type text struct {
	dst    []byte
	base   int // where the text begins in dst
	max    int // length of dst at most
	fields int // that may still come

	pseudo [pseudos]span
	seen   uint8 // pseudo-fields
	wanted uint8 // pseudo-fields that may come
	never  uint8 // pseudo-fields that came as never to be indexed
	cookie int   // where cookies begin in saved; 0: there are none
	key    string

	request, trailers bool
	begun             bool // the first line is written
	host              bool // host has come
	neverCookie       bool // a part of the cookie came as never to be indexed
	large             bool
	Result
}

type span struct{ from, to int32 } // in saved

func (t *Reader) value(i int) []byte { return t.saved[t.pseudo[i].from:t.pseudo[i].to] }

// Request decodes a request's block into a head as HTTP/1.1 text, including the empty
// line, and appends it to dst: at most l.HeadBytes bytes, and never more than dst has room
// for. After TooLarge that is the part of it, in whole lines, that was within the limits;
// unless the verdict is Whole or that, dst comes back as it was. extended says that an
// extended CONNECT for websocket (RFC 8441) may come, which becomes a GET with
// "connection: upgrade", "upgrade: websocket" and "sec-websocket-key: " + key.
//
// The text has one Host line, from :authority or host, and one Cookie line at most.
func (t *Reader) Request(dst []byte, table *hpack.Table, block []byte, l *httpparse.Limits, key string, extended bool) ([]byte, Result) {
	t.start(dst, l, 1<<method|1<<scheme|1<<path|1<<authority)
	t.request, t.key = true, key
	if extended {
		t.wanted |= 1 << protocol
	}
	return t.read(table, block)
}

// Response is as Request, for an answer's head: "HTTP/1.1 200 \r\n" and its lines.
func (t *Reader) Response(dst []byte, table *hpack.Table, block []byte, l *httpparse.Limits) ([]byte, Result) {
	t.start(dst, l, 1<<status)
	return t.read(table, block)
}

// Trailers is as Request, for trailers: field lines, without the empty line.
func (t *Reader) Trailers(dst []byte, table *hpack.Table, block []byte, l *httpparse.Limits) ([]byte, Result) {
	t.start(dst, l, 0)
	t.trailers, t.begun = true, true
	return t.read(table, block)
}

// Discard decodes a block for the table's sake, in time proportional to its bytes, and
// reports whether it could.
func (t *Reader) Discard(table *hpack.Table, block []byte) bool {
	for t.decoder.Begin(table, block); t.decoder.Next(); {
	}
	return t.decoder.Err() == nil
}

// SizeUpdates returns how many changes of the table's size the block begins with (RFC 7541 6.3).
func SizeUpdates(block []byte) (n int) {
	for i := 0; i < len(block) && block[i]&0xe0 == 0x20; n++ {
		long := block[i]&0x1f == 0x1f
		for i++; long && i < len(block); i++ {
			long = block[i]&0x80 != 0
		}
	}
	return n
}

func (t *Reader) start(dst []byte, l *httpparse.Limits, wanted uint8) {
	t.saved = t.saved[:0]
	t.dst, t.base, t.max, t.fields = dst, len(dst), min(len(dst)+l.HeadBytes, cap(dst)), l.Fields
	t.pseudo, t.seen, t.wanted, t.cookie, t.key = [pseudos]span{}, 0, wanted, 0, ""
	t.request, t.trailers, t.begun, t.host, t.large = false, false, false, false, false
	t.never, t.neverCookie = 0, false
	t.Result = Result{Length: -1, Priority: DefaultPriority}
}

// read decodes the block to its end, even where it is refused on the way.
func (t *Reader) read(table *hpack.Table, block []byte) (dst []byte, r Result) {
	d := t.decoder
	for d.Begin(table, block); d.Next(); {
		f := &d.Field
		switch {
		case t.large:
			t.Excess += len(f.Name) + len(f.Value)
		case f.TooLong:
			t.tooLarge()
		case t.Verdict == Whole:
			t.field(f)
		}
	}
	if d.Err() != nil {
		t.Verdict = Corrupt
	}
	t.end()
	if dst = t.dst; t.Verdict != Whole && !(t.Verdict == TooLarge && t.request) {
		dst = dst[:t.base]
	}
	t.dst = nil
	return dst, t.Result
}

// refuse makes the block malformed. The first reason counts.
func (t *Reader) refuse(r Reason) {
	if t.Verdict != Malformed {
		t.Verdict, t.Reason = Malformed, r
	}
}

func (t *Reader) tooLarge() {
	t.large = true
	if t.Verdict == Whole {
		t.Verdict = TooLarge
	}
}

// end completes the text.
func (t *Reader) end() {
	if t.Verdict != Whole || !t.begin() {
		return
	}
	if t.cookie > 0 {
		t.line(cookieName, t.saved[t.cookie:])
		if t.neverCookie {
			t.mark(len(t.saved) - t.cookie)
		}
	}
	if t.trailers || t.Verdict != Whole {
		return
	}
	if len(t.dst)+2 > t.max {
		t.tooLarge()
		return
	}
	t.dst = append(t.dst, '\r', '\n')
}

var (
	cookieName = []byte("cookie")
	hostName   = []byte("host")
	webSocket  = []byte("websocket")
	upgrading  = []byte("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ")
	keyName    = []byte("sec-websocket-key")
	trailersOK = []byte("trailers")
)

// field takes one field.
func (t *Reader) field(f *hpack.Field) {
	switch {
	case len(f.Name) == 0:
		t.refuse(BadName)
	case f.Name[0] == ':':
		t.pseudoField(f)
	case !valueOK(f.Value):
		t.refuse(BadValue)
	case !t.begin():
	case f.ID == hpack.Other:
		if !nameOK(f.Name) {
			t.refuse(BadName)
			return
		}
		if t.seen&(1<<protocol) == 0 || !bytes.Equal(f.Name, keyName) {
			if t.line(f.Name, f.Value); f.Sensitive {
				t.mark(len(f.Value))
			}
		}
	default:
		t.knownField(f)
	}
}

// knownField takes a field whose name HTTP/2 treats in its own way.
func (t *Reader) knownField(f *hpack.Field) {
	switch f.ID {
	case hpack.Connection, hpack.ProxyConnection, hpack.KeepAlive, hpack.TransferEncoding, hpack.Upgrade:
		t.refuse(ConnField)
		return
	case hpack.TE:
		if !bytes.EqualFold(f.Value, trailersOK) {
			t.refuse(BadTE)
			return
		}
		t.Result.Trailers = true
	case hpack.ContentLength:
		if !t.trailers {
			t.length(f.Value)
		}
	case hpack.Host:
		if t.request {
			t.hostField(f)
			return
		}
	case hpack.Cookie:
		if t.request {
			t.neverCookie = t.neverCookie || f.Sensitive
			t.crumb(f.Value)
			return
		}
	case hpack.Priority:
		t.Priority.Read(f.Value)
	}
	if t.line(f.Name, f.Value); f.Sensitive {
		t.mark(len(f.Value))
	}
}

// length takes Content-Length (RFC 9110 8.6). An extended CONNECT has no body that it
// could be of: as an HTTP/1 request, it would hide what comes next.
func (t *Reader) length(v []byte) {
	n := number(v)
	if n < 0 || t.Length >= 0 || t.seen&(1<<protocol) != 0 {
		t.refuse(BadLength)
		return
	}
	t.Length = n
}

// number returns the value of 1*DIGIT, or -1 for anything else or above 2^63-1.
func number(v []byte) int64 {
	if len(v) == 0 {
		return -1
	}
	n := int64(0)
	for _, c := range v {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return -1
		}
		n = n*10 + d
	}
	return n
}

// hostField takes Host, which must not be empty, and the same as :authority (RFC 9113
// 8.3.1).
func (t *Reader) hostField(f *hpack.Field) {
	v := f.Value
	switch {
	case t.host, len(v) == 0, t.seen&(1<<authority) != 0 && !bytes.EqualFold(v, t.value(authority)):
		t.refuse(BadAuthority)
	case t.seen&(1<<authority) == 0:
		t.hostLine(v, f.Sensitive)
	}
	t.host = true
}

// hostLine writes the line of Host.
func (t *Reader) hostLine(v []byte, never bool) {
	if t.line(hostName, v); never {
		t.mark(len(v))
	}
}

// crumb takes a part of a cookie (RFC 9113 8.2.3). All of them become one line at the end.
func (t *Reader) crumb(v []byte) {
	if t.cookie == 0 {
		t.cookie = len(t.saved)
	} else if len(v) > 0 && len(t.saved) > t.cookie {
		t.saved = append(t.saved, "; "...)
	}
	if len(t.dst)+len(t.saved)-t.cookie+len(v) > t.max {
		t.tooLarge()
		return
	}
	t.saved = append(t.saved, v...)
}

// pseudoField takes a pseudo-field.
func (t *Reader) pseudoField(f *hpack.Field) {
	i := pseudoOf[f.ID]
	switch {
	case i == noPseudo || t.wanted&(1<<i) == 0:
		t.refuse(UnknownPseudo)
	case t.begun:
		t.refuse(LatePseudo)
	case t.seen&(1<<i) != 0:
		t.refuse(RepeatedPseudo)
	case len(t.dst)+len(t.saved)+len(f.Value) > t.max:
		t.tooLarge()
	default:
		t.seen |= 1 << i
		if f.Sensitive {
			t.never |= 1 << i
		}
		from := len(t.saved)
		t.saved = append(t.saved, f.Value...)
		t.pseudo[i] = span{int32(from), int32(len(t.saved))}
	}
}

// pseudoOf has the pseudo-fields by their IDs.
var pseudoOf = func() (t [hpack.IDs]uint8) {
	for i := range t {
		t[i] = noPseudo
	}
	t[hpack.Method], t[hpack.Scheme], t[hpack.Path] = method, scheme, path
	t[hpack.Authority], t[hpack.Protocol], t[hpack.Status] = authority, protocol, status
	return t
}()

// begin writes the first line, and Host, at the first field or the end, when all
// pseudo-fields have come. It reports whether the block is fine so far.
func (t *Reader) begin() bool {
	if t.begun {
		return true
	}
	t.begun = true
	if t.request {
		t.requestLine()
	} else {
		t.statusLine()
	}
	return t.Verdict == Whole
}

// statusLine writes the status line (RFC 9113 8.3.2). HTTP/2 does not switch protocols by
// 101 (RFC 9113 8.6).
func (t *Reader) statusLine() {
	v := t.value(status)
	if t.seen == 0 {
		t.refuse(MissingPseudo)
		return
	}
	if n := number(v); len(v) != 3 || n < 100 || n == 101 {
		t.refuse(BadStatus)
	} else {
		t.Status = int(n)
	}
	if t.fits(len("HTTP/1.1  \r\n") + len(v)) {
		t.dst = append(append(append(t.dst, "HTTP/1.1 "...), v...), " \r\n"...)
	}
}

// requestLine checks the pseudo-fields (RFC 9113 8.3.1, 8.5), and writes the request line and
// Host.
func (t *Reader) requestLine() {
	m, host := t.value(method), t.value(authority)
	t.Marked = t.never&(1<<path) != 0
	if t.seen&(1<<method) == 0 {
		t.refuse(MissingPseudo)
		return
	}
	if !tokenOK(m) {
		t.refuse(BadMethod)
		return
	}
	if t.seen&(1<<authority) != 0 && !hostOK(host) {
		t.refuse(BadAuthority)
		return
	}
	extended := t.seen&(1<<protocol) != 0
	if string(m) == "CONNECT" && !extended {
		t.connectLine(host)
		return
	}
	p := t.value(path)
	if r := t.targetFault(m, p, extended); r != NoReason {
		t.refuse(r)
		return
	}
	if extended {
		m = getMethod
	}
	if t.fits(len(m) + len(p) + len("  HTTP/1.1\r\n")) {
		t.dst = append(append(append(append(t.dst, m...), ' '), p...), " HTTP/1.1\r\n"...)
	}
	if len(host) > 0 {
		t.hostLine(host, t.never&(1<<authority) != 0)
	}
	if t.WebSocket = extended; extended {
		t.webSocketLines()
	}
}

var getMethod = []byte("GET")

// targetFault returns the reason to refuse the pseudo-fields of a request that has a
// target, or NoReason.
func (t *Reader) targetFault(m, p []byte, extended bool) Reason {
	const needed = 1<<scheme | 1<<path
	s := t.value(scheme)
	switch {
	case t.seen&needed != needed:
		return MissingPseudo
	case string(s) != "http" && string(s) != "https":
		return BadScheme
	case !targetOK(p), p[0] != '/' && !(string(p) == "*" && string(m) == "OPTIONS"):
		return BadPath
	case extended && (string(m) != "CONNECT" || !bytes.Equal(t.value(protocol), webSocket)):
		return BadProtocol
	}
	return NoReason
}

// connectLine writes the request line of CONNECT, which has neither scheme nor path (RFC
// 9113 8.5).
func (t *Reader) connectLine(host []byte) {
	switch {
	case t.seen&(1<<authority) == 0:
		t.refuse(MissingPseudo)
	case t.seen&(1<<scheme|1<<path) != 0:
		t.refuse(UnknownPseudo)
	default:
		t.Connect = true
		if t.fits(len("CONNECT  HTTP/1.1\r\n") + len(host)) {
			t.dst = append(append(append(t.dst, "CONNECT "...), host...), " HTTP/1.1\r\n"...)
		}
		t.hostLine(host, t.never&(1<<authority) != 0)
	}
}

// webSocketLines writes the fields that an extended CONNECT stands for.
func (t *Reader) webSocketLines() {
	if len(t.dst)+len(upgrading)+len(t.key)+2 > t.max {
		t.tooLarge()
		return
	}
	t.dst = append(t.dst, upgrading...)
	t.dst = append(t.dst, t.key...)
	t.dst = append(t.dst, '\r', '\n')
}

// fits reports whether the first line, of n bytes, is to be written.
func (t *Reader) fits(n int) bool {
	if t.Verdict == Whole && len(t.dst)+n > t.max {
		t.tooLarge()
	}
	return t.Verdict == Whole
}

// line writes one field line.
func (t *Reader) line(name, value []byte) {
	if t.fields--; len(t.dst)+len(name)+len(value)+len(": \r\n") > t.max || t.fields < 0 {
		t.tooLarge()
		return
	}
	t.dst = append(append(append(append(t.dst, name...), ": "...), value...), "\r\n"...)
}

// mark marks what line has just written, whose value has n bytes, as a field that is never to be
// indexed.
func (t *Reader) mark(n int) {
	if !t.large {
		t.dst[len(t.dst)-len(" \r\n")-n] = '\t'
	}
}
