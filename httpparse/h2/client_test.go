package h2

import (
	"fmt"
	"strings"
	"testing"
)

// ask sends requests as heads of HTTP/1.
func ask(texts ...string) func(*rig) {
	return func(r *rig) {
		for _, text := range texts {
			st := r.s.Open()
			end := strings.HasPrefix(text, "GET") || strings.HasPrefix(text, "HEAD")
			r.sent(r.s.AppendRequest(nil, st, []byte(text), "http", end))
			r.mine = append(r.mine, st)
		}
	}
}

const (
	getText  = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	headText = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
	postText = "POST / HTTP/1.1\r\nHost: a\r\n\r\n"
)

func ok(fields ...string) string { return block(append([]string{":status", "200"}, fields...)...) }

func TestAnswers(t *testing.T) { // RFC 9113 8.1
	start := fr(Settings, 0, 0, "") + ack
	head := func(flags uint8, b string) string { return fr(Headers, flags|endHeaders, 1, b) }
	faulted := func(code string, before ...string) []string {
		return append(before, "> RST_STREAM 1 "+code, "Faulted 1 "+code)
	}
	const okLog = "Head 1: HTTP/1.1 200 ||"
	runWire(t, &clientOptions, start, ask(postText), []wireCase{
		{"a head alone", head(endStream, ok()), []string{okLog + " end"}},
		{"a body", head(0, ok()) + fr(Data, endStream, 1, "body"), []string{okLog, "Part 1: body end"}},
		{"trailers", head(0, ok()) + fr(Data, 0, 1, "body") + head(endStream, block("grpc-status", "0")), []string{okLog, "Part 1: body", "Trail 1: grpc-status: 0| end"}},
		{"interim answers", head(0, block(":status", "103", "link", "x")) + head(0, block(":status", "100")) + head(endStream, ok()), []string{"Head 1: HTTP/1.1 103 |link: x||", "Head 1: HTTP/1.1 100 ||", okLog + " end"}},
		{"an interim answer that ends the stream", head(endStream, block(":status", "103")), []string{"Head 1: malformed, stream ended too early end"}},
		{"101 (8.6)", head(0, block(":status", "101")), []string{"Head 1: malformed, bad status"}},
		{"DATA before the head", fr(Data, 0, 1, "x"), faulted("PROTOCOL_ERROR")},
		{"a length that is kept", head(0, ok("content-length", "4")) + fr(Data, endStream, 1, "body"), []string{"Head 1: HTTP/1.1 200 |content-length: 4||", "Part 1: body end"}},
		{"a length that is not kept", head(0, ok("content-length", "4")) + fr(Data, endStream, 1, "bod"), faulted("PROTOCOL_ERROR", "Head 1: HTTP/1.1 200 |content-length: 4||")},
		{"a length without a body", head(endStream, ok("content-length", "4")), []string{"Head 1: malformed, stream ended too early end"}},
		{"204 with DATA", head(0, block(":status", "204")) + fr(Data, 0, 1, "x"), faulted("PROTOCOL_ERROR", "Head 1: HTTP/1.1 204 ||")},
		{"304 with a length", head(endStream, block(":status", "304", "content-length", "4")), []string{"Head 1: HTTP/1.1 304 |content-length: 4|| end"}},
		{"reset", fr(RSTStream, 0, 1, u32(uint32(RefusedStream))), []string{"Aborted 1 REFUSED_STREAM"}},
		{"after a reset all is ignored", fr(RSTStream, 0, 1, u32(0)) + head(0, ok()) + fr(Data, 0, 1, "x"), []string{"Aborted 1 NO_ERROR", "> RST_STREAM 1 STREAM_CLOSED"}},
		{"a stream that we have not opened", fr(Headers, endHeaders, 3, ok()), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"a stream of the server", fr(Headers, endHeaders, 2, ok()), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"PUSH_PROMISE", fr(PushPromise, endHeaders, 1, u32(2)+get), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"PRIORITY_UPDATE", fr(PriorityUpdate, 0, 0, u32(1)+"u=1"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
	})
	runWire(t, &clientOptions, start, ask(headText), []wireCase{
		{"HEAD with a length", head(endStream, ok("content-length", "4")), []string{"Head 1: HTTP/1.1 200 |content-length: 4|| end"}},
		{"HEAD with an empty frame", head(0, ok("content-length", "4")) + fr(Data, endStream, 1, ""), []string{"Head 1: HTTP/1.1 200 |content-length: 4||", "Part 1:  end"}},
		{"HEAD with a body", head(0, ok()) + fr(Data, endStream, 1, "x"), faulted("PROTOCOL_ERROR", okLog)},
	})
}

func TestGoAway(t *testing.T) { // RFC 9113 6.8, 8.7
	runWire(t, &clientOptions, fr(Settings, 0, 0, "")+ack, ask(getText, getText, getText), []wireCase{
		{"two of three are not processed", fr(GoAway, 0, 0, u32(1)+u32(0)), []string{"Leaving 1 NO_ERROR", "Unheard 3 REFUSED_STREAM", "Unheard 5 REFUSED_STREAM"}},
		{"first a notice", fr(GoAway, 0, 0, u32(idMax)+u32(0)) + fr(GoAway, 0, 0, u32(3)+u32(0)) + fr(Headers, endHeaders|endStream, 3, ok()),
			[]string{"Leaving 2147483647 NO_ERROR", "Leaving 3 NO_ERROR", "Unheard 5 REFUSED_STREAM", "Head 3: HTTP/1.1 200 || end"}},
		{"never up again", fr(GoAway, 0, 0, u32(3)+u32(0)) + fr(GoAway, 0, 0, u32(5)+u32(0)), []string{"Leaving 3 NO_ERROR", "Unheard 5 REFUSED_STREAM", "Leaving 3 NO_ERROR"}},
	})
	r := newRig(&clientOptions)
	ask(getText)(r)
	st := r.s.Open() // whose head is not out
	r.feed([]byte(fr(Settings, 0, 0, "") + fr(GoAway, 0, 0, u32(1)+u32(0))))
	if last := r.log[len(r.log)-1]; last != "Unheard 0 REFUSED_STREAM" || !st.Closed() || r.s.CanOpen() != 0 {
		t.Errorf("a stream that was not sent: %q, %d may be opened", r.log, r.s.CanOpen())
	}
}

func TestCanOpen(t *testing.T) { // RFC 9113 5.1.2
	r := newRig(&clientOptions)
	if n := r.s.CanOpen(); n != 4 {
		t.Errorf("before SETTINGS: %d, want 4", n)
	}
	r.feed([]byte(fr(Settings, 0, 0, setting(MaxConcurrentStreams, 2))))
	ask(getText)(r)
	r.s.Open()
	if n := r.s.CanOpen(); n != 0 {
		t.Errorf("with two of two: %d, want 0", n)
	}
	r.feed([]byte(fr(Settings, 0, 0, setting(MaxConcurrentStreams, 1000))))
	if n := r.s.CanOpen(); n != 2 {
		t.Errorf("with two of 1,000: %d, want 2", n)
	}
	r.s.nextID = idMax - 2
	ask(getText)(r)
	if n := r.s.CanOpen(); n != 0 {
		t.Errorf("with one id left, which is spoken for: %d, want 0", n)
	}
	ids := ""
	for st := range r.s.All {
		ids += fmt.Sprint(st.ID, " ")
	}
	if ids != "1 0 2147483645 " {
		t.Errorf("the streams are %s", ids)
	}
}

// TestLongHead sends and reads heads that need CONTINUATION.
func TestLongHead(t *testing.T) { // RFC 9113 4.3, 6.10
	for n := FrameMax - 40; n < 4*FrameMax; n += FrameMax/3 + 1 {
		text := fmt.Sprintf("GET / HTTP/1.1\r\nHost: a\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", n-1)+"y")
		c := newRig(&clientOptions)
		out := c.s.AppendRequest([]byte("before"), c.s.Open(), []byte(text), "https", true)[6:]
		if len(out) > HeadRoom(len(text)) {
			t.Errorf("%d bytes of text are %d, more than HeadRoom", len(text), len(out))
		}
		for b := out; len(b) > 0; {
			h := ParseHeader(b)
			if h.Length > FrameMax {
				t.Fatalf("a frame of %d bytes", h.Length)
			}
			b = b[HeaderLen+h.Length:]
		}
		s := newRig(&serverOptions)
		s.s.shared = NewShared(80<<10, s.s.shared.New)
		var got string
		in := append([]byte(hello), out...)
		for i := 0; i < len(in); {
			ev, n, _ := s.s.Next(in[i:], s.now, make([]byte, 0, OutMax))
			if i += n; ev.Kind == Head {
				l := testLimits
				l.HeadBytes = 80 << 10
				b, x := s.s.ReadRequest(make([]byte, 0, l.HeadBytes), &l, "")
				if got = string(b); x.Verdict != Whole {
					t.Fatalf("%d bytes: %+v", n, x)
				}
			}
			if ev.Kind == Broken {
				t.Fatalf("%d bytes: %+v", n, ev)
			}
		}
		want := strings.Replace(strings.Replace(text, "X-Long", "x-long", 1), "Host", "host", 1)
		if n < blockMax-100 && got != want {
			t.Errorf("%d bytes of text came as %d", len(want), len(got))
		}
	}
}

// TestHeadRoomIsEnough has heads and trailers written into HeadRoom, which no byte may go beyond.
func TestHeadRoomIsEnough(t *testing.T) {
	for n := range 300 {
		line := "X" + strings.Repeat("-", n) + ":" + strings.Repeat("v", n) + "\r\n"
		for _, lines := range []string{"", line, line + line + line, "Host: a\r\n" + line, line + "a:b\r\n"} {
			c := newRig(&clientOptions)
			st := c.s.Open()
			for i, text := range []string{"PURGE /" + line[:n] + " HTTP/1.1\r\n" + lines + "\r\n", "HTTP/1.1 299 \r\n" + lines + "\r\n", lines} {
				out := make([]byte, 0, HeadRoom(len(text)))
				var got []byte
				switch i {
				case 0:
					got = c.s.AppendRequest(out, st, []byte(text), "https", false)
				case 1:
					got = c.s.AppendResponse(out, st, []byte(text), false)
				default:
					got = c.s.AppendTrailers(out, st, []byte(text))
				}
				if &got[0] != &out[:1][0] {
					t.Fatalf("%q does not go into its room", text)
				}
			}
		}
	}
}
