package h2

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/httpparse"
	"lb/loop/tick"
)

var testLimits = httpparse.Limits{HeadBytes: 4 << 10, Fields: 20, TargetBytes: 1 << 10}

var serverOptions = Options{Role: Server, Streams: 4, Window: 65535, Connect: true}
var clientOptions = Options{Role: Client, Streams: 4, Window: 65535}

// rig is an owner of a session, who writes down what happens.
type rig struct {
	s     Session
	log   []string
	in    []byte // not used up
	now   tick.Instant
	over  bool // Broken has come
	hold  bool // bytes of bodies are not taken
	event func(Event)
	mine  []*Stream // opened by a client
}

func newRig(o *Options) *rig {
	r := &rig{now: tick.Instant(time.Hour)}
	r.s.Init(o, NewShared(4<<10, func() *Stream { return new(Stream) }))
	r.sent(r.s.AppendStart(nil, r.now))
	return r
}

// sent writes down frames that the session has appended.
func (r *rig) sent(out []byte) {
	out = []byte(strings.TrimPrefix(string(out), Preface))
	for len(out) > 0 {
		h := ParseHeader(out)
		r.log = append(r.log, "> "+describe(h, out[HeaderLen:HeaderLen+h.Length]))
		out = out[HeaderLen+h.Length:]
	}
}

// describe returns a frame as text.
func describe(h Header, p []byte) string {
	s := fmt.Sprintf("%v %d", h.Type, h.Stream)
	switch h.Type {
	case RSTStream:
		return fmt.Sprintf("%s %v", s, Code(binary.BigEndian.Uint32(p)))
	case GoAway:
		return fmt.Sprintf("GOAWAY %d %v", binary.BigEndian.Uint32(p), Code(binary.BigEndian.Uint32(p[4:])))
	case WindowUpdate:
		return fmt.Sprintf("%s +%d", s, binary.BigEndian.Uint32(p))
	case Settings:
		if h.Flags&FlagAck != 0 {
			return "SETTINGS ack"
		}
		s = "SETTINGS"
		for ; len(p) > 0; p = p[6:] {
			s += fmt.Sprintf(" %v=%d", Setting(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:]))
		}
	case Ping:
		return fmt.Sprintf("PING %d %q", h.Flags, p)
	case Headers, Continuation, Data:
		return fmt.Sprintf("%s flags %x, %d bytes", s, h.Flags, h.Length)
	}
	return s
}

// feed gives the session more bytes, and handles all events.
func (r *rig) feed(b []byte) {
	r.in = append(r.in, b...)
	for !r.over {
		ev, n, out := r.s.Next(r.in, r.now, make([]byte, 0, OutMax))
		if n > len(r.in) || cap(out) != OutMax {
			panic("used up more than there is, or appended more than there is room for")
		}
		r.in = r.in[n:]
		r.sent(out)
		switch ev.Kind {
		case More:
			return
		case Full:
			continue
		}
		r.note(ev)
		if r.over = ev.Kind == Broken; r.over {
			return
		}
	}
}

var kindNames = map[Kind]string{Head: "Head", Trail: "Trail", Part: "Part", Aborted: "Aborted", Faulted: "Faulted",
	Unheard: "Unheard", Opened: "Opened", Urgent: "Urgent", Changed: "Changed", Agreed: "Agreed", Ponged: "Ponged",
	Leaving: "Leaving", Refused: "Refused", Broken: "Broken"}

// note writes an event down, and does what an owner has to do.
func (r *rig) note(ev Event) {
	s := kindNames[ev.Kind]
	if ev.Stream != nil {
		s += fmt.Sprintf(" %d", ev.Stream.ID)
	}
	switch ev.Kind {
	case Head, Trail:
		s += ": " + r.read(ev)
	case Part:
		if s += fmt.Sprintf(": %s", ev.Bytes); !r.hold {
			r.sent(r.s.Take(nil, ev.Stream, len(ev.Bytes)))
		}
	case Urgent:
		s += fmt.Sprintf(" u=%d i=%v", ev.Stream.Urgency, ev.Stream.Incremental)
	case Ponged:
		s += fmt.Sprintf(" %q", ev.Bytes)
	case Leaving:
		s += fmt.Sprintf(" %d %v", ev.Last, ev.Code)
	case Aborted, Faulted, Unheard, Broken:
		s += " " + ev.Code.String()
		if ev.Flood != NoFlood {
			s += " " + ev.Flood.String()
		}
	}
	last := len(r.log) - 1
	if before := "Part " + fmt.Sprint(idOf(ev.Stream)) + ": "; ev.Kind == Part && last >= 0 && strings.HasPrefix(r.log[last], before) {
		r.log[last] += s[len(before):]
	} else {
		r.log = append(r.log, s)
	}
	if ev.End {
		r.log[len(r.log)-1] += " end"
	}
	if r.event != nil {
		r.event(ev)
	}
	if ev.Kind == Aborted || ev.Kind == Faulted || ev.Kind == Unheard {
		r.mine = slices.DeleteFunc(r.mine, func(st *Stream) bool { return st == ev.Stream })
		r.sent(r.s.Release(nil, ev.Stream))
	}
}

func idOf(st *Stream) uint32 {
	if st == nil {
		return 0
	}
	return st.ID
}

// read reads a block, and returns the text with | for CRLF.
func (r *rig) read(ev Event) string {
	var b []byte
	var x Result
	dst := make([]byte, 0, testLimits.HeadBytes)
	switch {
	case ev.Kind == Trail:
		b, x = r.s.ReadTrailers(dst, &testLimits)
	case r.s.o.Role == Server:
		b, x = r.s.ReadRequest(dst, &testLimits, "KEY")
	default:
		b, x = r.s.ReadResponse(dst, &testLimits)
	}
	switch x.Verdict {
	case TooLarge:
		return "too large"
	case Malformed:
		return "malformed, " + x.Reason.String()
	case Corrupt:
		return "corrupt"
	}
	return strings.ReplaceAll(string(b), "\r\n", "|")
}

// fr returns a frame.
func fr(t Type, flags uint8, stream uint32, payload string) string {
	return string(AppendHeader(nil, Header{len(payload), t, flags, stream})) + payload
}

// block returns a header block of literals.
func block(fields ...string) string {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = append(b, 0)
		for _, s := range fields[i : i+2] {
			if len(s) < 127 {
				b = append(b, byte(len(s)))
			} else {
				b = append(b, 127)
				n := len(s) - 127
				for ; n >= 128; n >>= 7 {
					b = append(b, byte(n)|128)
				}
				b = append(b, byte(n))
			}
			b = append(b, s...)
		}
	}
	return string(b)
}

func u32(v uint32) string { return string(binary.BigEndian.AppendUint32(nil, v)) }

func setting(id Setting, v uint32) string { return string(AppendSetting(nil, id, v)) }

const (
	endStream  = FlagEndStream
	endHeaders = FlagEndHeaders
)

var (
	get     = block(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a")
	post    = block(":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a")
	hello   = Preface + fr(Settings, 0, 0, "")
	ack     = fr(Settings, FlagAck, 0, "")
	getLog  = "GET / HTTP/1.1|host: a||"
	postLog = "POST / HTTP/1.1|host: a||"
)

// wireCase is what a peer sends after its SETTINGS, and what comes of it.
type wireCase struct {
	name string
	in   string
	want []string
}

// runWire runs the cases whole, cut in two, and byte by byte.
func runWire(t *testing.T, o *Options, start string, prepare func(*rig), cases []wireCase) {
	for _, tc := range cases {
		in := start + tc.in
		check := func(how string, pieces ...string) {
			t.Helper()
			r := newRig(o)
			if prepare != nil {
				prepare(r)
			}
			for _, p := range pieces[:1] {
				r.feed([]byte(p))
			}
			r.log = nil
			for _, p := range pieces[1:] {
				r.feed([]byte(p))
			}
			if !slices.Equal(r.log, tc.want) {
				t.Errorf("%s, %s:\n got %q\nwant %q", tc.name, how, r.log, tc.want)
			}
		}
		check("whole", start, tc.in)
		check("byte by byte", append([]string{start}, strings.Split(tc.in, "")...)...)
		for cut := range len(in) - len(start) {
			check(fmt.Sprint("cut at ", cut), start, tc.in[:cut], tc.in[cut:])
		}
	}
}
