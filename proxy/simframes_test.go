package proxy

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"lb/loop/looptest"
)

// h2End is the far end of an HTTP/2 conn of lb, a client's or a backend's. Frames and HPACK
// are those of golang.org/x/net, which so judges what lb sends; h2End itself judges the
// order of frames, windows and limits (RFC 9113).
type h2End struct {
	peer   *looptest.Peer
	server bool // it is a backend
	wrong  func(format string, args ...any)
	accept func(s *h2Stream) // of a server: a stream has begun
	lines  []*h2Line         // of clients

	// rng, unless it is nil, cuts messages into frames of any size.
	rng *rand.Rand
	// later, unless it is nil, runs f after a while: windows open late.
	later func(f func())
	// send, unless it is nil, is Peer.Send.
	send func(b []byte)

	in, out  bytes.Buffer // of frames
	text     bytes.Buffer // of an HPACK block
	framer   *http2.Framer
	encoder  *hpack.Encoder
	decoder  *hpack.Decoder
	streams  map[uint32]*h2Stream // that have begun, also those that have ended
	next     uint32               // the id of the next stream of a client
	last     uint32               // of a server: the last stream
	frames   int                  // that lb has sent
	block    []byte               // of a head that has no END_HEADERS yet
	blockEnd bool
	blockOf  uint32

	// What lb has granted.
	toSend, toSendFirst, most, frameMax int
	connect                             bool
	// What lb was granted, as of its last acknowledgement.
	granted, grantedFirst, allowed int
	unacked                        []func() // what SETTINGS that are not acknowledged change
	pings                          int      // not acknowledged
	narrow                         bool     // windows open a little at a time
	stalled                        bool     // no window of the conn is opened
	owed                           int      // bytes that it is behind

	waiting []func() // streams that lb does not allow yet
	leaving bool     // GOAWAY has come
	left    uint32   // its last stream
	code    http2.ErrCode
	started bool // SETTINGS were sent
	said    bool // GOAWAY was sent
	over    bool
}

// h2Stream is one stream of an h2End.
type h2Stream struct {
	e    *h2End
	id   uint32
	user h2User

	queue    []byte
	trailers []hpack.HeaderField
	ends     bool // END_STREAM follows the queue
	sent     bool // END_STREAM was sent
	came     bool // END_STREAM has come
	final    bool // a head with a final status has come, or that of a request
	reset    bool // RST_STREAM was sent
	wasReset bool // RST_STREAM has come
	toSend   int
	granted  int
	length   int // Content-Length, or -1
	got      int // bytes of the body
	paused   bool
	owed     int // bytes that its window is behind
}

// h2User is what an h2Stream is for.
type h2User interface {
	head(fields []hpack.HeaderField, end bool) // a head, final or not, or trailers
	data(b []byte, end bool)
	gone(code http2.ErrCode) // the stream was reset, or its conn ended
}

// window is how many bytes a conn, and a stream by default, may be sent at first.
const window = 65535

func newH2End(peer *looptest.Peer, server bool, wrong func(format string, args ...any)) *h2End {
	e := &h2End{peer: peer, server: server, wrong: wrong, streams: make(map[uint32]*h2Stream), next: 1,
		toSend: window, toSendFirst: window, most: 1 << 30, frameMax: 1 << 14,
		granted: window, grantedFirst: window, allowed: 1 << 30}
	e.framer = http2.NewFramer(&e.out, &e.in)
	e.framer.SetMaxReadFrameSize(1 << 14)
	e.encoder = hpack.NewEncoder(&e.text)
	e.decoder = hpack.NewDecoder(4096, nil)
	peer.OnBytes = func(p *looptest.Peer) { e.receive(p.Recv()) }
	peer.OnEnd = func(*looptest.Peer) { e.end() }
	return e
}

// start sends the first frames, with these settings.
func (e *h2End) start(settings ...http2.Setting) {
	rest := bytes.Clone(e.out.Bytes())
	if e.out.Reset(); !e.server {
		e.out.WriteString(http2.ClientPreface)
	}
	e.settings(settings...)
	e.started = true
	e.out.Write(rest)
	e.flush()
}

// settings sends SETTINGS, whose limits hold for lb once it has acknowledged them.
func (e *h2End) settings(settings ...http2.Setting) {
	e.unacked = append(e.unacked, func() {
		for _, s := range settings {
			switch s.ID {
			case http2.SettingInitialWindowSize:
				for _, st := range e.streams {
					st.granted += int(s.Val) - e.grantedFirst
				}
				e.grantedFirst = int(s.Val)
			case http2.SettingMaxConcurrentStreams:
				e.allowed = int(s.Val)
			}
		}
	})
	e.framer.WriteSettings(settings...)
	e.flush()
}

// flush sends the frames written.
func (e *h2End) flush() {
	if !e.started {
		return
	}
	b := bytes.Clone(e.out.Bytes())
	e.out.Reset()
	switch {
	case len(b) == 0 || e.over:
	case e.send != nil:
		e.send(b)
	default:
		e.peer.Send(b)
	}
}

// receive takes what lb has sent.
func (e *h2End) receive(b []byte) {
	e.in.Write(b)
	if e.server && e.frames == 0 {
		n := min(e.in.Len(), len(http2.ClientPreface))
		if !strings.HasPrefix(http2.ClientPreface, string(e.in.Bytes()[:n])) {
			e.wrong("no preface: %q", e.in.Bytes()[:n])
		}
		if e.in.Len() < len(http2.ClientPreface)+9 {
			return
		}
		if f := e.in.Bytes()[n:]; e.in.Len() < n+9+(int(f[0])<<16|int(f[1])<<8|int(f[2])) {
			return
		}
		e.in.Next(n)
	}
	for !e.over {
		f := e.in.Bytes()
		if len(f) < 9 || len(f) < 9+(int(f[0])<<16|int(f[1])<<8|int(f[2])) {
			break
		}
		fr, err := e.framer.ReadFrame()
		if err != nil {
			e.wrong("a frame of lb: %v", err)
			e.peer.Reset()
			return
		}
		if e.frames++; e.frames == 1 && fr.Header().Type != http2.FrameSettings {
			e.wrong("lb begins with %v", fr)
		}
		e.frame(fr)
	}
	e.pump()
	e.flush()
}

func (e *h2End) frame(fr http2.Frame) {
	if *simSeed >= 0 {
		fmt.Fprintf(os.Stderr, "%v got %v\n", e.peer, fr)
	}
	id := fr.Header().StreamID
	s := e.streams[id]
	if id != 0 && s == nil && fr.Header().Type != http2.FrameHeaders && fr.Header().Type != http2.FrameContinuation &&
		fr.Header().Type != http2.FramePriority {
		e.wrong("%v in an idle stream", fr)
		return
	}
	switch fr := fr.(type) {
	case *http2.SettingsFrame:
		e.takeSettings(fr)
	case *http2.PingFrame:
		if !fr.IsAck() {
			e.framer.WritePing(true, fr.Data)
		} else if e.pings--; e.pings < 0 {
			e.wrong("lb answers to no PING")
		}
	case *http2.WindowUpdateFrame:
		if s != nil {
			s.toSend = e.opened(s.toSend, fr)
		} else {
			e.toSend = e.opened(e.toSend, fr)
		}
	case *http2.HeadersFrame:
		e.blockOf, e.block, e.blockEnd = id, bytes.Clone(fr.HeaderBlockFragment()), fr.StreamEnded()
		if fr.HeadersEnded() {
			e.head()
		}
	case *http2.ContinuationFrame:
		if e.block = append(e.block, fr.HeaderBlockFragment()...); fr.HeadersEnded() {
			e.head()
		}
	case *http2.DataFrame:
		e.data(s, fr)
	case *http2.RSTStreamFrame:
		if s.wasReset && fr.ErrCode != http2.ErrCodeStreamClosed { // as RFC 9113 5.4.2 allows it
			e.wrong("stream %d was reset twice", id)
		}
		s.lost(fr.ErrCode)
	case *http2.GoAwayFrame:
		e.goAway(fr)
	default:
		e.wrong("%v from lb", fr)
	}
}

func (e *h2End) opened(n int, fr *http2.WindowUpdateFrame) int {
	if n += int(fr.Increment); n > 1<<31-1 {
		e.wrong("a window of %d bytes", n)
	}
	return n
}

func (e *h2End) takeSettings(fr *http2.SettingsFrame) {
	if fr.IsAck() {
		if len(e.unacked) == 0 {
			e.wrong("lb acknowledges no SETTINGS")
			return
		}
		e.unacked[0]()
		e.unacked = e.unacked[1:]
		return
	}
	fr.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			e.wrong("%v: %v", s, err)
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			for _, st := range e.streams {
				st.toSend += int(s.Val) - e.toSendFirst
			}
			e.toSendFirst = int(s.Val)
		case http2.SettingMaxConcurrentStreams:
			e.most = int(s.Val)
		case http2.SettingMaxFrameSize:
			e.frameMax = int(s.Val)
		case http2.SettingHeaderTableSize:
			e.encoder.SetMaxDynamicTableSizeLimit(s.Val)
		case http2.SettingEnableConnectProtocol:
			e.connect = s.Val == 1
		}
		return nil
	})
	e.framer.WriteSettingsAck()
}

func (e *h2End) goAway(fr *http2.GoAwayFrame) {
	if e.leaving && fr.LastStreamID > e.left {
		e.wrong("GOAWAY of %d after one of %d", fr.LastStreamID, e.left)
	}
	e.leaving, e.left, e.code = true, fr.LastStreamID, fr.ErrCode
	if fr.ErrCode != http2.ErrCodeNo {
		e.wrong("GOAWAY: %v", fr.ErrCode)
	}
	for _, s := range e.all() {
		if !e.server && s.id > fr.LastStreamID {
			s.lost(http2.ErrCodeRefusedStream)
		}
	}
	e.waiting = nil
	e.loseLines()
}

// loseLines ends the lines that have no stream.
func (e *h2End) loseLines() {
	for _, l := range e.lines {
		if l.s == nil || l.s.id == 0 || !l.s.lives() {
			l.lose()
		}
	}
}

// all returns the streams in order.
func (e *h2End) all() []*h2Stream {
	return slices.SortedFunc(maps.Values(e.streams), func(a, b *h2Stream) int { return cmp.Compare(a.id, b.id) })
}

// active returns the number of streams that have not ended.
func (e *h2End) active() (n int) {
	for _, s := range e.streams {
		if s.lives() {
			n++
		}
	}
	return n
}

func (s *h2Stream) lives() bool { return !s.reset && !s.wasReset && !(s.sent && s.came) }

// head takes a block that is whole.
func (e *h2End) head() {
	fields, err := e.decoder.DecodeFull(e.block)
	if err != nil {
		e.wrong("HPACK: %v", err)
		return
	}
	s := e.streams[e.blockOf]
	if s == nil {
		if s = e.begun(e.blockOf); s == nil {
			return
		}
	}
	switch {
	case s.came || s.wasReset:
		e.wrong("a head after the end of stream %d", s.id)
		return
	case s.reset:
		return
	}
	e.check(s, fields)
	s.came = e.blockEnd
	s.checkEnd()
	s.user.head(fields, e.blockEnd)
	s.quit()
}

// begun makes a stream of a backend, which lb has begun.
func (e *h2End) begun(id uint32) *h2Stream {
	switch {
	case !e.server || id <= e.last || id%2 == 0:
		e.wrong("a head in stream %d", id)
		return nil
	case e.active() >= e.allowed:
		e.wrong("stream %d is one too many, of %d", id, e.allowed)
	}
	e.last = id
	s := &h2Stream{e: e, id: id, toSend: e.toSendFirst, granted: e.grantedFirst, length: -1}
	e.streams[id] = s
	e.accept(s)
	return s
}

// check judges a head, or trailers.
func (e *h2End) check(s *h2Stream, fields []hpack.HeaderField) {
	var pseudo []string
	trailers := s.final
	for i, f := range fields {
		switch {
		case f.Name != strings.ToLower(f.Name) || strings.ContainsAny(f.Name+f.Value, "\r\n\x00"):
			e.wrong("field %q: %q", f.Name, f.Value)
		case f.IsPseudo() && (i != len(pseudo) || trailers):
			e.wrong("%s is not at the beginning of a head", f.Name)
		case f.IsPseudo():
			pseudo = append(pseudo, f.Name)
			s.final = s.final || f.Name == ":method" || f.Name == ":status" && f.Value >= "200"
		case f.Name == "content-length" && s.final && !trailers:
			s.length, _ = strconv.Atoi(f.Value)
		}
		switch f.Name {
		case "connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection", "host", "content-length":
			if trailers || f.Name != "content-length" && f.Name != "host" {
				e.wrong("field %q: %q, trailers %t", f.Name, f.Value, trailers)
			}
		}
	}
	slices.Sort(pseudo)
	got := strings.Join(pseudo, "")
	want := []string{":status"}
	if e.server {
		want = []string{":authority:method:path:scheme", ":method:path:scheme", ":authority:method:path:protocol:scheme"}
	}
	if !trailers && !slices.Contains(want, got) || trailers && !e.blockEnd || len(fields) == 0 {
		e.wrong("a head with %s, trailers %t, end %t: %v", got, trailers, e.blockEnd, fields)
	}
}

// checkEnd judges the length of a body that has ended.
func (s *h2Stream) checkEnd() {
	if s.came && s.final && s.length >= 0 && s.got != s.length && s.got > 0 {
		s.e.wrong("stream %d has %d of %d bytes", s.id, s.got, s.length)
	}
}

func (e *h2End) data(s *h2Stream, fr *http2.DataFrame) {
	n := int(fr.Length)
	e.granted -= n
	s.granted -= n
	switch {
	case n > 0 && (e.granted < 0 || s.granted < 0):
		e.wrong("DATA of %d bytes in stream %d leaves windows of %d and %d", n, s.id, s.granted, e.granted)
	case s.came || s.wasReset:
		e.wrong("DATA after the end of stream %d", s.id)
	case !s.final && !s.reset:
		e.wrong("DATA before the head of stream %d", s.id)
	}
	if s.came = s.came || fr.StreamEnded(); s.reset {
		e.grant(nil, n)
		return
	}
	s.got += len(fr.Data())
	s.checkEnd()
	s.user.data(fr.Data(), fr.StreamEnded())
	e.grant(s, n)
	s.quit()
}

// grant opens windows by n bytes, or notes that they are behind.
func (e *h2End) grant(s *h2Stream, n int) {
	if n == 0 {
		return
	}
	e.owed += n
	if s != nil {
		s.owed += n
	}
	if e.later != nil {
		e.later(func() { e.repay(s); e.flush() })
		return
	}
	e.repay(s)
}

// repay opens the windows that are behind.
func (e *h2End) repay(s *h2Stream) {
	if e.over {
		return
	}
	if e.owed > 0 && !e.stalled {
		e.framer.WriteWindowUpdate(0, uint32(e.owed))
		e.granted += e.owed
		e.owed = 0
	}
	if s != nil && e.narrow { // whatever was used, more
		s.owed += streamWindows[e.frames%len(streamWindows)]
	}
	if s != nil && s.owed > 0 && !s.paused && !s.came && s.lives() {
		e.framer.WriteWindowUpdate(s.id, uint32(s.owed))
		s.granted += s.owed
		s.owed = 0
	}
}

// pause stops the window of s from opening, or lets it.
func (s *h2Stream) pause(is bool) {
	if s.paused = is; !is {
		s.e.repay(s)
		s.e.flush()
	}
}

// lost notes that lb has ended s.
func (s *h2Stream) lost(code http2.ErrCode) {
	if s.wasReset {
		return
	}
	whole := s.came && code == http2.ErrCodeNo
	s.wasReset, s.queue, s.ends = true, nil, false
	if !s.reset && !whole {
		s.user.gone(code)
	}
	s.quit()
}

// quit lets a stream begin that waits for the end of others.
func (s *h2Stream) quit() {
	if e := s.e; !s.lives() && len(e.waiting) > 0 && e.active() < e.most {
		f := e.waiting[0]
		e.waiting = e.waiting[1:]
		f()
	}
}

// end notes the end of the conn.
func (e *h2End) end() {
	if e.over {
		return
	}
	e.over = true
	e.peer.Close()
	for _, s := range e.all() {
		if s.lives() {
			s.lost(http2.ErrCodeInternal)
		}
	}
	e.waiting = nil
	e.loseLines()
}

// begin begins the stream s, whose user is set, with a head.
func (e *h2End) begin(s *h2Stream, fields []hpack.HeaderField, end bool) {
	s.id, s.toSend, s.granted, s.length = e.next, e.toSendFirst, e.grantedFirst, -1
	e.next += 2
	e.streams[s.id] = s
	s.head(fields, end)
	e.pump()
	e.flush()
}

// head sends a head or, at the end of the queue, trailers.
func (s *h2Stream) head(fields []hpack.HeaderField, end bool) {
	e := s.e
	if !s.lives() || s.sent {
		return
	}
	e.text.Reset()
	for _, f := range fields {
		e.encoder.WriteField(f)
	}
	b := bytes.Clone(e.text.Bytes())
	p := http2.HeadersFrameParam{StreamID: s.id, BlockFragment: b, EndHeaders: true, EndStream: end}
	n := len(b)
	if e.rng != nil && e.rng.IntN(3) == 0 {
		n, p.PadLength = e.rng.IntN(n+1), uint8(e.rng.IntN(9))
	}
	n = min(n, e.frameMax-10)
	p.BlockFragment, p.EndHeaders = b[:n], n == len(b)
	e.framer.WriteHeaders(p)
	for b = b[n:]; !p.EndHeaders; b = b[n:] {
		if n = len(b); e.rng != nil && e.rng.IntN(2) == 0 {
			n = 1 + e.rng.IntN(n)
		}
		n = min(n, e.frameMax)
		p.EndHeaders = n == len(b)
		e.framer.WriteContinuation(s.id, p.EndHeaders, b[:n])
	}
	s.sent = end
	s.quit()
	e.flush()
}

// write sends a part of a body, as windows allow.
func (s *h2Stream) write(b []byte, end bool) {
	if s.lives() && !s.sent && !s.ends {
		s.queue, s.ends = append(s.queue, b...), end
		s.e.pump()
		s.e.flush()
	}
}

// cancel resets s.
func (s *h2Stream) cancel(code http2.ErrCode) {
	if s.lives() && !s.e.over {
		if s.reset, s.queue = true, nil; s.id == 0 { // it has not begun
			return
		}
		s.e.framer.WriteRSTStream(s.id, code)
		s.e.repay(nil)
		s.quit()
		s.e.flush()
	}
}

// pump sends of the queues what windows allow.
func (e *h2End) pump() {
	for _, s := range e.all() {
		for s.lives() && !s.sent && s.part() {
		}
	}
}

// part sends a frame of the queue, if it may.
func (s *h2Stream) part() bool {
	e := s.e
	n := max(0, min(len(s.queue), s.toSend, e.toSend, e.frameMax))
	if n == 0 && (len(s.queue) > 0 || !s.ends) {
		return false
	}
	pad := 0
	if e.rng != nil && n > 1 {
		if n = 1 + e.rng.IntN(n); e.rng.IntN(4) == 0 {
			pad = max(0, min(e.rng.IntN(20), s.toSend-n-1, e.toSend-n-1, e.frameMax-n-1))
		}
	}
	b := s.queue[:n]
	s.queue = s.queue[n:]
	end := s.ends && len(s.queue) == 0
	switch {
	case end && s.trailers != nil:
		if n > 0 {
			e.framer.WriteData(s.id, false, b)
			s.toSend, e.toSend = s.toSend-n, e.toSend-n
		}
		s.head(s.trailers, true)
		return false
	case pad > 0:
		e.framer.WriteDataPadded(s.id, end, b, make([]byte, pad))
		n += pad + 1
	default:
		e.framer.WriteData(s.id, end, b)
	}
	s.toSend, e.toSend = s.toSend-n, e.toSend-n
	s.sent = end
	s.quit()
	return !end
}

// ping sends a PING.
func (e *h2End) ping() {
	e.pings++
	e.framer.WritePing(false, [8]byte{1, 2, 3})
	e.flush()
}

// leave says GOAWAY and, unless streams go on, closes.
func (e *h2End) leave(last uint32) {
	if !e.over {
		e.said = true
		e.framer.WriteGoAway(last, http2.ErrCodeNo, nil)
		e.flush()
	}
}

// checkWindows judges, when nothing moves and no stream is left, whether lb has opened the
// window of the conn again.
func (e *h2End) checkWindows() {
	if !e.over && e.active() == 0 && e.toSend < window/2 {
		e.wrong("%d bytes are left of a window, without a stream", e.toSend)
	}
}

func (e *h2End) String() string {
	return fmt.Sprintf("%v: %d frames, %d streams, %d active, %d wait, windows %d to send, %d granted, %d owed",
		e.peer, e.frames, len(e.streams), e.active(), len(e.waiting), e.toSend, e.granted, e.owed)
}
