package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"lb/internal/testkit"
)

// An end of an HTTP/2 conn that sends whatever a test says, frame by frame, and notes
// what lb sends, and whatever lb must not have sent.

// h2Field is a field of a header block, a pseudo-field too.
type h2Field struct{ name, value string }

// h2Fields makes fields of names and values in turn.
func h2Fields(pairs ...string) (list []h2Field) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, h2Field{pairs[i], pairs[i+1]})
	}
	return list
}

// h2Block encodes fields as literals that are not indexed, whatever their bytes.
func h2Block(list []h2Field) []byte { return h2Literals(0, list) }

// h2Never is h2Block for fields that are never to be indexed (RFC 7541 6.2.3).
func h2Never(list []h2Field) []byte { return h2Literals(0x10, list) }

func h2Literals(first byte, list []h2Field) (b []byte) {
	for _, f := range list {
		b = append(b, first)
		for _, text := range []string{f.name, f.value} {
			b = append(h2Int(b, 7, 0, len(text)), text...)
		}
	}
	return b
}

// h2Int appends an integer of HPACK with a prefix of so many bits, whose byte has the
// bits of first, too.
func h2Int(b []byte, bits int, first byte, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

// h2Frame returns a frame.
func h2Frame(kind http2.FrameType, flags http2.Flags, id uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), byte(kind), byte(flags)}
	return append(binary.BigEndian.AppendUint32(b, id), payload...)
}

// h2Settings is the payload of SETTINGS with identifiers and values in turn.
func h2Settings(pairs ...uint32) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, uint16(pairs[i])), pairs[i+1])
	}
	return b
}

// u32 is a payload of one number.
func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

const (
	endStream  = http2.FlagDataEndStream
	endHeaders = http2.FlagHeadersEndHeaders
	h2Room     = 1 << 20 // bytes that wait to be written before a sender waits
	h2BodyKept = 1 << 20 // bytes of a body
)

// h2Conn is one end of an HTTP/2 conn.
type h2Conn struct {
	net.Conn
	server bool
	manual bool              // acknowledges nothing and opens no window
	onHead func(s *h2Stream) // of a server: on a goroutine of its own for each stream
	wrote  sync.WaitGroup    // the writer
	read   sync.WaitGroup    // the reader, and onHead

	mu       sync.Mutex
	news     sync.Cond
	out      []byte
	leaving  bool // close after out is written
	over     bool // nothing more is read
	failure  error
	streams  map[uint32]*h2Stream
	next     uint32
	window   int64 // what we may send
	initial  int64
	peer     map[http2.SettingID]uint32
	settings int // frames of the peer
	acks     int // of our SETTINGS
	pongs    int
	goaways  []h2Goaway
	ends     int      // of streams
	odd      []string // what the peer must not send

	decoder *hpack.Decoder
	partial []byte
	headOf  uint32
	headEnd bool
	fields  []h2Field
	never   []string // of fields
}

type h2Goaway struct {
	last uint32
	code http2.ErrCode
}

// h2Stream is one exchange as our end sees it. Its fields are guarded by the conn's mu.
type h2Stream struct {
	c        *h2Conn
	id       uint32
	fields   []h2Field // of the request, or of the last answer
	interim  []int
	trailers []h2Field
	never    []string // the names of all fields that came as never to be indexed
	headed   bool     // the request, or the final answer, has come
	ended    bool
	reset    bool
	code     http2.ErrCode
	body     []byte // the beginning
	size     int64
	sum      hash.Hash
	told     bool // lb had acknowledged our SETTINGS
	window   int64
	sent     int64 // bytes of DATA
	largest  int   // DATA
	order    int   // how many streams of the conn ended before
}

// newH2Conn begins to read from and to write to c. A client sends the preface. first is
// the payload of our SETTINGS.
func newH2Conn(c net.Conn, server bool, first []byte) *h2Conn {
	h := &h2Conn{Conn: c, server: server, streams: map[uint32]*h2Stream{}, next: 1, window: 65535, initial: 65535,
		peer: map[http2.SettingID]uint32{}}
	h.news.L = &h.mu
	h.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if h.fields = append(h.fields, h2Field{f.Name, f.Value}); f.Sensitive {
			h.never = append(h.never, f.Name)
		}
	})
	if !server {
		h.out = append(h.out, http2.ClientPreface...)
	}
	h.out = append(h.out, h2Frame(http2.FrameSettings, 0, 0, first)...)
	h.wrote.Go(h.writeAll)
	return h
}

// start begins to read.
func (h *h2Conn) start() *h2Conn {
	h.read.Go(h.readAll)
	return h
}

func (h *h2Conn) writeAll() {
	for {
		h.mu.Lock()
		for len(h.out) == 0 && !h.over && !h.leaving {
			h.news.Wait()
		}
		b := h.out
		h.out = nil
		h.mu.Unlock()
		h.news.Broadcast()
		if len(b) == 0 {
			return
		}
		if _, err := h.Write(b); err != nil {
			h.mu.Lock()
			h.leaving = true
			h.mu.Unlock()
			return
		}
	}
}

// send writes bytes, frames or not, and waits if too many wait to be written.
func (h *h2Conn) send(parts ...[]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.out) > h2Room && !h.over && !h.leaving {
		h.news.Wait()
	}
	h.queue(parts...)
}

func (h *h2Conn) queue(parts ...[]byte) {
	if !h.leaving {
		h.out = append(h.out, slices.Concat(parts...)...)
		h.news.Broadcast()
	}
}

// frame sends a frame.
func (h *h2Conn) frame(kind http2.FrameType, flags http2.Flags, id uint32, payload ...[]byte) {
	h.send(h2Frame(kind, flags, id, slices.Concat(payload...)))
}

// close ends the conn.
func (h *h2Conn) close() {
	h.Conn.Close()
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.news.Broadcast()
	h.wrote.Wait()
	h.read.Wait()
}

// wait waits until ok, which it calls with the lock held, returns true, or the conn has
// ended.
func (h *h2Conn) wait(ok func() bool) bool {
	late := false
	timer := time.AfterFunc(testkit.Patience, func() {
		h.mu.Lock()
		late = true
		h.mu.Unlock()
		h.news.Broadcast()
	})
	defer timer.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !ok() && !late && !h.over {
		h.news.Wait()
	}
	return ok()
}

// want is wait, and fails the test if ok does not come true.
func (h *h2Conn) want(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !h.wait(ok) {
		h.mu.Lock()
		defer h.mu.Unlock()
		t.Fatalf("no %s: the conn is over: %v (%v), GOAWAY %v, odd %q", what, h.over, h.failure, h.goaways, h.odd)
	}
}

// fault notes what the peer must not do.
func (h *h2Conn) fault(format string, args ...any) {
	h.odd = append(h.odd, fmt.Sprintf(format, args...))
}

func (h *h2Conn) readAll() {
	var head [9]byte
	var err error
	for err == nil {
		if _, err = io.ReadFull(h.Conn, head[:]); err != nil {
			break
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err = io.ReadFull(h.Conn, payload); err != nil {
			break
		}
		h.mu.Lock()
		h.take(http2.FrameType(head[3]), http2.Flags(head[4]), binary.BigEndian.Uint32(head[5:])&(1<<31-1), payload)
		h.mu.Unlock()
		h.news.Broadcast()
	}
	h.mu.Lock()
	h.over, h.failure = true, err
	h.mu.Unlock()
	h.news.Broadcast()
	h.Conn.Close() // lb waits for that
}

// take notes one frame of the peer.
func (h *h2Conn) take(kind http2.FrameType, flags http2.Flags, id uint32, b []byte) {
	if len(b) > 16384 {
		h.fault("%v of %d bytes", kind, len(b))
	}
	if h.headOf != 0 && (kind != http2.FrameContinuation || id != h.headOf) {
		h.fault("%v within a header block", kind)
	}
	if h.settings == 0 && kind != http2.FrameSettings {
		h.fault("%v before SETTINGS", kind)
	}
	switch kind {
	case http2.FrameData:
		h.takeData(flags, id, b)
	case http2.FrameHeaders:
		if flags.Has(http2.FlagHeadersPadded) {
			b = b[1 : len(b)-int(b[0])]
		}
		if flags.Has(http2.FlagHeadersPriority) {
			b = b[5:]
		}
		h.headOf, h.headEnd, h.partial = id, flags.Has(http2.FlagHeadersEndStream), nil
		h.takeBlock(flags, b)
	case http2.FrameContinuation:
		h.takeBlock(flags, b)
	case http2.FrameRSTStream:
		if s := h.stream(id, kind); s != nil {
			s.reset, s.code = true, http2.ErrCode(binary.BigEndian.Uint32(b))
		}
	case http2.FrameSettings:
		h.takeSettings(flags, b)
	case http2.FramePing:
		if flags.Has(http2.FlagPingAck) {
			h.pongs++
		} else {
			h.queue(h2Frame(kind, http2.FlagPingAck, 0, b))
		}
	case http2.FrameGoAway:
		h.goaways = append(h.goaways, h2Goaway{binary.BigEndian.Uint32(b) & (1<<31 - 1), http2.ErrCode(binary.BigEndian.Uint32(b[4:]))})
	case http2.FrameWindowUpdate:
		h.takeWindow(id, int64(binary.BigEndian.Uint32(b)&(1<<31-1)))
	case http2.FramePushPromise:
		h.fault("PUSH_PROMISE")
	}
}

// stream returns the stream of a frame, or nil.
func (h *h2Conn) stream(id uint32, kind http2.FrameType) *h2Stream {
	s := h.streams[id]
	if s == nil {
		h.fault("%v on stream %d, which is idle", kind, id)
	}
	return s
}

func (h *h2Conn) takeWindow(id uint32, n int64) {
	if n == 0 {
		h.fault("WINDOW_UPDATE of 0")
	}
	if id == 0 {
		h.window += n
	} else if s := h.stream(id, http2.FrameWindowUpdate); s != nil {
		s.window += n
	}
}

func (h *h2Conn) takeSettings(flags http2.Flags, b []byte) {
	if flags.Has(http2.FlagSettingsAck) {
		h.acks++
		return
	}
	h.settings++
	for ; len(b) >= 6; b = b[6:] {
		id, v := http2.SettingID(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[2:])
		h.peer[id] = v
		if id == http2.SettingInitialWindowSize {
			for _, s := range h.streams {
				s.window += int64(v) - h.initial
			}
			h.initial = int64(v)
		}
	}
	h.queue(h2Frame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil))
}

func (h *h2Conn) takeData(flags http2.Flags, id uint32, b []byte) {
	s := h.stream(id, http2.FrameData)
	if s == nil {
		return
	}
	if !s.headed || s.ended {
		h.fault("DATA on stream %d before its head (%v), or after its end (%v)", id, !s.headed, s.ended)
	}
	all := len(b)
	if flags.Has(http2.FlagDataPadded) {
		b = b[1 : len(b)-int(b[0])]
	}
	if s.sum == nil {
		s.sum = sha256.New()
	}
	s.sum.Write(b)
	s.size += int64(len(b))
	s.largest = max(s.largest, len(b))
	s.body = append(s.body, b[:min(len(b), h2BodyKept-len(s.body))]...)
	if all > 0 && !h.manual {
		h.queue(h2Frame(http2.FrameWindowUpdate, 0, 0, u32(uint32(all))))
		if !flags.Has(endStream) {
			h.queue(h2Frame(http2.FrameWindowUpdate, 0, id, u32(uint32(all))))
		}
	}
	if flags.Has(endStream) {
		s.finish()
	}
}

// finish notes the end of the stream, and that of how many others came before it.
func (s *h2Stream) finish() {
	s.ended, s.order = true, s.c.ends
	s.c.ends++
}

// takeBlock notes a part of a header block, and its fields once it is whole.
func (h *h2Conn) takeBlock(flags http2.Flags, b []byte) {
	h.partial = append(h.partial, b...)
	if !flags.Has(endHeaders) {
		return
	}
	id := h.headOf
	h.headOf, h.fields, h.never = 0, nil, nil
	if _, err := h.decoder.Write(h.partial); err != nil {
		h.fault("header block: %v", err)
	} else if err := h.decoder.Close(); err != nil {
		h.fault("header block: %v", err)
	}
	s := h.streams[id]
	if s == nil && h.server {
		if id%2 == 0 || id < h.next {
			h.fault("stream %d after %d", id, h.next-2)
		}
		h.next = id + 2
		s = &h2Stream{c: h, id: id, window: h.initial, told: h.acks > 0}
		h.streams[id] = s
	} else if s == nil {
		h.fault("HEADERS on stream %d, which is idle", id)
		return
	}
	h.judge(s)
	s.never = append(s.never, h.never...)
	switch {
	case s.headed:
		if s.trailers = h.fields; !h.headEnd {
			h.fault("trailers that do not end stream %d", id)
		}
	case !h.server && strings.HasPrefix(h2Value(h.fields, ":status"), "1"):
		status, _ := strconv.Atoi(h2Value(h.fields, ":status"))
		s.interim = append(s.interim, status)
		s.fields = h.fields
	default:
		s.headed, s.fields = true, h.fields
		if h.headEnd {
			s.finish()
		}
		if h.onHead != nil {
			h.read.Go(func() { h.onHead(s) })
		}
		return
	}
	if h.headEnd {
		s.finish()
	}
}

// judge notes what is wrong with the fields that have come for s, RFC 9113, 8.2 and 8.3.
func (h *h2Conn) judge(s *h2Stream) {
	pseudo := []string{":status"}
	if h.server {
		pseudo = []string{":method", ":scheme", ":path", ":authority", ":protocol"}
	}
	regular, seen := s.headed, map[string]bool{}
	for _, f := range h.fields {
		switch {
		case strings.HasPrefix(f.name, ":"):
			if regular || seen[f.name] || !slices.Contains(pseudo, f.name) {
				h.fault("pseudo-field %q: in trailers or after fields (%v), twice (%v), or unknown", f.name, regular, seen[f.name])
			}
			seen[f.name] = true
			continue
		case !h2Token(f.name):
			h.fault("field name %q", f.name)
		case f.name == "te" && f.value == "trailers" && h.server:
		case slices.Contains([]string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "http2-settings"}, f.name):
			h.fault("field %s: %q", f.name, f.value)
		}
		if regular = true; strings.ContainsAny(f.value, "\x00\r\n") || strings.Trim(f.value, " \t") != f.value {
			h.fault("field %s: %q", f.name, f.value)
		}
	}
}

// h2Token reports whether name is a token in lower case.
func h2Token(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 127 || c >= 'A' && c <= 'Z' || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return name != ""
}

// h2Value returns the value of the first field of that name.
func h2Value(list []h2Field, name string) string {
	for _, f := range list {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// h2Text returns fields as lines.
func h2Text(list []h2Field) string {
	var b bytes.Buffer
	for _, f := range list {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	return b.String()
}

// open opens a stream that has sent nothing yet.
func (h *h2Conn) open() *h2Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h2Stream{c: h, id: h.next, window: h.initial}
	h.next += 2
	h.streams[s.id] = s
	return s
}

// ask opens a stream with a head, and ends it if end is set.
func (h *h2Conn) ask(end bool, list []h2Field) *h2Stream {
	s := h.open()
	s.head(end, list)
	return s
}

// head sends a header block in as many frames as it takes.
func (s *h2Stream) head(end bool, list []h2Field) {
	b, kind := h2Block(list), http2.FrameHeaders
	var flags http2.Flags
	if end {
		flags = endStream
	}
	var all []byte
	for {
		part := b[:min(len(b), 16384)]
		if b = b[len(part):]; len(b) == 0 {
			flags |= endHeaders
		}
		all = append(all, h2Frame(kind, flags, s.id, part)...)
		if kind, flags = http2.FrameContinuation, 0; len(b) == 0 {
			break
		}
	}
	s.c.send(all)
}

// data sends b as the windows allow. It returns false if the stream or the conn ends
// before that, or no window opens.
func (s *h2Stream) data(end bool, b []byte) bool {
	h := s.c
	for {
		n := 0
		open := h.wait(func() bool {
			n = int(min(int64(len(b)), 16384, s.window, h.window))
			return n > 0 || len(b) == 0 || s.reset || h.leaving
		})
		if !open || n == 0 && len(b) > 0 {
			return false
		}
		var flags http2.Flags
		if end && n == len(b) {
			flags = endStream
		}
		h.mu.Lock()
		s.window, h.window, s.sent = s.window-int64(n), h.window-int64(n), s.sent+int64(n)
		h.mu.Unlock()
		h.frame(http2.FrameData, flags, s.id, b[:n])
		if b = b[n:]; len(b) == 0 {
			return true
		}
	}
}

// rst resets the stream.
func (s *h2Stream) rst(code http2.ErrCode) {
	s.c.frame(http2.FrameRSTStream, 0, s.id, u32(uint32(code)))
}

// h2Answer is a copy of what has come on a stream.
type h2Answer struct {
	status   int // 0: none
	fields   []h2Field
	interim  []int
	trailers []h2Field
	body     string
	size     int64
	digest   string // as that of the function digest
	ended    bool
	reset    bool
	code     http2.ErrCode
	largest  int
	order    int
}

func (a h2Answer) String() string {
	return fmt.Sprintf("status %d, %q, ended %v, reset %v (%v)", a.status, a.body[:min(len(a.body), 100)], a.ended, a.reset, a.code)
}

// whole reports whether a is complete and has the status.
func (a h2Answer) whole(status int) bool { return a.status == status && a.ended }

// answer waits until the stream has ended, or the conn, and returns what has come.
func (s *h2Stream) answer() (a h2Answer) {
	s.c.wait(func() bool { return s.ended || s.reset || s.left() })
	return s.sofar()
}

// left reports whether a GOAWAY says that nothing more comes; the lock is held.
func (s *h2Stream) left() bool {
	return slices.ContainsFunc(s.c.goaways, func(g h2Goaway) bool { return g.code != http2.ErrCodeNo || g.last < s.id && !s.c.server })
}

// sofar returns what has come.
func (s *h2Stream) sofar() (a h2Answer) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	a = h2Answer{fields: s.fields, interim: s.interim, trailers: s.trailers, body: string(s.body), size: s.size,
		ended: s.ended, reset: s.reset, code: s.code, largest: s.largest, order: s.order}
	if s.headed {
		a.status, _ = strconv.Atoi(h2Value(s.fields, ":status"))
	}
	if s.sum != nil {
		a.digest = fmt.Sprintf("%s of %d bytes", hex.EncodeToString(s.sum.Sum(nil)), s.size)
	}
	return a
}

// calm reports whether the peer has ended the conn with ENHANCE_YOUR_CALM.
func (h *h2Conn) calm() bool { return h.gone(http2.ErrCodeEnhanceYourCalm) }

// gone reports whether a GOAWAY with code has come; the lock is held.
func (h *h2Conn) gone(code http2.ErrCode) bool {
	return slices.ContainsFunc(h.goaways, func(g h2Goaway) bool { return g.code == code })
}
