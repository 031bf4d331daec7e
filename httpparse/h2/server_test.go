package h2

import (
	"strings"
	"testing"
)

func TestFramesOfClients(t *testing.T) { // RFC 9113 4, 6
	runWire(t, &serverOptions, hello+ack, nil, []wireCase{
		{"a request", fr(Headers, endStream|endHeaders, 1, get), []string{"Head 1: " + getLog + " end"}},
		{"padded, with a priority of RFC 7540", fr(Headers, endStream|endHeaders|FlagPadded|FlagPriority, 1, "\x03"+u32(0)+"\x10"+get+"\x00\x00\x00"), []string{"Head 1: " + getLog + " end"}},
		{"padding alone (6.2)", fr(Headers, endStream|endHeaders|FlagPadded, 1, "\x03\x00\x00"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"no room for the length of the padding", fr(Headers, endStream|endHeaders|FlagPadded, 1, ""), []string{"> GOAWAY 0 FRAME_SIZE_ERROR", "Broken FRAME_SIZE_ERROR"}},
		{"no room for the priority", fr(Headers, endStream|endHeaders|FlagPriority, 1, "abc"), []string{"> GOAWAY 0 FRAME_SIZE_ERROR", "Broken FRAME_SIZE_ERROR"}},
		{"in CONTINUATION (6.10)", fr(Headers, endStream, 1, get[:5]) + fr(Continuation, 0, 1, get[5:6]) + fr(Continuation, endHeaders, 1, get[6:]), []string{"Head 1: " + getLog + " end"}},
		{"another frame within a block", fr(Headers, endStream, 1, get[:5]) + fr(Ping, 0, 0, "12345678"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"CONTINUATION of another stream", fr(Headers, endStream, 1, get[:5]) + fr(Continuation, endHeaders, 3, get[5:]), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"CONTINUATION without a block", fr(Continuation, endHeaders, 1, get), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"HEADERS of the conn", fr(Headers, endStream|endHeaders, 0, get), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"an even id (5.1.1)", fr(Headers, endStream|endHeaders, 2, get), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"a broken block (4.3)", fr(Headers, endStream|endHeaders, 1, "\xff"), []string{"Head 1: corrupt end", "> GOAWAY 1 COMPRESSION_ERROR", "Broken COMPRESSION_ERROR"}},
		{"a frame too long (4.2)", string(AppendHeader(nil, Header{FrameMax + 1, Headers, 4, 1})), []string{"> GOAWAY 0 FRAME_SIZE_ERROR", "Broken FRAME_SIZE_ERROR"}},
		{"an unknown frame (4.1)", fr(0x42, 0xff, 7, "abc") + fr(Ping, 0, 0, "12345678"), []string{`> PING 1 "12345678"`}},
		{"an unknown frame within a block (5.5)", fr(Headers, endStream, 1, get[:5]) + fr(0x42, 0xff, 1, "abc"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"PING (6.7)", fr(Ping, 0, 0, "12345678") + fr(Ping, 1, 0, "87654321"), []string{`> PING 1 "12345678"`, `Ponged "87654321"`}},
		{"a short PING", fr(Ping, 0, 0, "1234567"), []string{"> GOAWAY 0 FRAME_SIZE_ERROR", "Broken FRAME_SIZE_ERROR"}},
		{"PING of a stream", fr(Ping, 0, 1, "12345678"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"PUSH_PROMISE (8.4)", fr(PushPromise, endHeaders, 1, u32(2)+get), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"GOAWAY (6.8)", fr(GoAway, 0, 0, u32(0)+u32(2)+"debug"), []string{"Leaving 0 INTERNAL_ERROR"}},
		{"a short GOAWAY", fr(GoAway, 0, 0, u32(0)), []string{"> GOAWAY 0 FRAME_SIZE_ERROR", "Broken FRAME_SIZE_ERROR"}},
		{"GOAWAY of a stream", fr(GoAway, 0, 1, u32(0)+u32(0)), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"a short RST_STREAM (6.4)", fr(Headers, endStream|endHeaders, 1, get) + fr(RSTStream, 0, 1, "abc"), []string{"Head 1: " + getLog + " end", "> GOAWAY 1 FRAME_SIZE_ERROR", "Broken FRAME_SIZE_ERROR"}},
		{"RST_STREAM of the conn", fr(RSTStream, 0, 0, u32(8)), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"PRIORITY (6.3)", fr(Priority, 0, 1, u32(0)+"\x10"), nil},
		{"PRIORITY of the conn", fr(Priority, 0, 0, u32(1)+"\x10"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"a short PRIORITY", fr(Headers, endHeaders, 1, post) + fr(Priority, 0, 1, u32(0)), []string{"Head 1: " + postLog, "> RST_STREAM 1 FRAME_SIZE_ERROR", "Faulted 1 FRAME_SIZE_ERROR"}},
		{"a stream that depends on itself (RFC 7540 5.3.1)", fr(Headers, endHeaders, 1, post) + fr(Priority, 0, 1, u32(1)+"\x10"), []string{"Head 1: " + postLog, "> RST_STREAM 1 PROTOCOL_ERROR", "Faulted 1 PROTOCOL_ERROR"}},
		{"HEADERS of a stream that depends on itself", fr(Headers, endHeaders|FlagPriority, 1, u32(1)+"\x10"+post), []string{"> RST_STREAM 1 PROTOCOL_ERROR"}},
		{"PRIORITY_UPDATE (RFC 9218 7.1)", fr(Headers, endHeaders, 1, post) + fr(PriorityUpdate, 0, 0, u32(1)+"u=1, i"), []string{"Head 1: " + postLog, "Urgent 1 u=1 i=true"}},
		{"PRIORITY_UPDATE of a stream to come", fr(PriorityUpdate, 0, 0, u32(1)+"u=1, i"), nil},
		{"PRIORITY_UPDATE in a stream", fr(PriorityUpdate, 0, 1, u32(1)+"u=1, i"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"PRIORITY_UPDATE of the conn", fr(PriorityUpdate, 0, 0, u32(0)+"u=1, i"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"a short PRIORITY_UPDATE", fr(PriorityUpdate, 0, 0, "abc"), []string{"> GOAWAY 0 FRAME_SIZE_ERROR", "Broken FRAME_SIZE_ERROR"}},
	})
}

func TestPreface(t *testing.T) { // RFC 9113 3.4
	start := []string{"> SETTINGS MAX_CONCURRENT_STREAMS=4 NO_RFC7540_PRIORITIES=1 ENABLE_CONNECT_PROTOCOL=1", "> WINDOW_UPDATE 0 +262140"}
	r := newRig(&serverOptions)
	if got := strings.Join(r.log, "\n"); got != strings.Join(start, "\n") {
		t.Errorf("a server begins with %q", got)
	}
	r = newRig(&clientOptions)
	if got := strings.Join(r.log, "\n"); got != "> SETTINGS ENABLE_PUSH=0\n> WINDOW_UPDATE 0 +262140" {
		t.Errorf("a client begins with %q", got)
	}
	runWire(t, &serverOptions, "", nil, []wireCase{
		{"a preface", Preface + fr(Settings, 0, 0, ""), []string{"> SETTINGS ack", "Changed"}},
		{"not a preface", "GET / HTTP/1.1\r\n", []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"almost a preface", Preface[:23] + "\r", []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"no SETTINGS first", Preface + fr(Ping, 0, 0, "12345678"), []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"an ACK first", Preface + ack, []string{"> GOAWAY 0 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
	})
}

func TestSettings(t *testing.T) { // RFC 9113 6.5
	bad := func(name, in, code string) wireCase {
		return wireCase{name, in, []string{"> GOAWAY 0 " + code, "Broken " + code}}
	}
	good := []string{"> SETTINGS ack", "Changed"}
	runWire(t, &serverOptions, hello, nil, []wireCase{
		{"ACK", ack, []string{"Agreed"}},
		{"ACK twice", ack + ack, []string{"Agreed"}},
		{"all", fr(Settings, 0, 0, setting(HeaderTableSize, 0)+setting(EnablePush, 1)+setting(MaxConcurrentStreams, 0)+
			setting(InitialWindowSize, windowMax)+setting(MaxFrameSize, 1<<24-1)+setting(MaxHeaderListSize, 1)+
			setting(EnableConnectProtocol, 1)+setting(NoRFC7540Priorities, 1)+setting(0x5a5a, 7)), good},
		{"twice the same", fr(Settings, 0, 0, setting(InitialWindowSize, 1)+setting(InitialWindowSize, 2)), good},
		bad("an ACK with bytes", fr(Settings, FlagAck, 0, setting(EnablePush, 1)), "FRAME_SIZE_ERROR"),
		bad("a length that is no multiple of 6", fr(Settings, 0, 0, "1234567"), "FRAME_SIZE_ERROR"),
		bad("of a stream", fr(Settings, 0, 1, ""), "PROTOCOL_ERROR"),
		bad("ENABLE_PUSH", fr(Settings, 0, 0, setting(EnablePush, 2)), "PROTOCOL_ERROR"),
		bad("INITIAL_WINDOW_SIZE", fr(Settings, 0, 0, setting(InitialWindowSize, 1<<31)), "FLOW_CONTROL_ERROR"),
		bad("MAX_FRAME_SIZE below", fr(Settings, 0, 0, setting(MaxFrameSize, FrameMax-1)), "PROTOCOL_ERROR"),
		bad("MAX_FRAME_SIZE above", fr(Settings, 0, 0, setting(MaxFrameSize, 1<<24)), "PROTOCOL_ERROR"),
		bad("ENABLE_CONNECT_PROTOCOL", fr(Settings, 0, 0, setting(EnableConnectProtocol, 2)), "PROTOCOL_ERROR"),
		bad("ENABLE_CONNECT_PROTOCOL taken back", fr(Settings, 0, 0, setting(EnableConnectProtocol, 1)+setting(EnableConnectProtocol, 0)), "PROTOCOL_ERROR"),
		bad("NO_RFC7540_PRIORITIES", fr(Settings, 0, 0, setting(NoRFC7540Priorities, 2)), "PROTOCOL_ERROR"),
	})
	runWire(t, &clientOptions, fr(Settings, 0, 0, ""), nil, []wireCase{
		bad("a server that wants to push", fr(Settings, 0, 0, setting(EnablePush, 1)), "PROTOCOL_ERROR"),
	})
	r := newRig(&serverOptions)
	if r.s.AckOwed() != r.now || r.s.Settled() {
		t.Error("no ACK is owed, or SETTINGS have come")
	}
	if r.feed([]byte(hello + ack)); r.s.AckOwed() != 0 || !r.s.Settled() {
		t.Error("an ACK is owed, or SETTINGS have not come")
	}
}

func TestStates(t *testing.T) { // RFC 9113 5.1
	open, done := fr(Headers, endHeaders, 1, post), fr(Headers, endStream|endHeaders, 1, get)
	openLog, doneLog := "Head 1: "+postLog, "Head 1: "+getLog+" end"
	broken := func(code string, before ...string) []string {
		return append(before, "> GOAWAY "+map[bool]string{true: "0 ", false: "1 "}[len(before) == 0]+code, "Broken "+code)
	}
	faulted := func(code string, before ...string) []string {
		return append(before, "> RST_STREAM 1 "+code, "Faulted 1 "+code)
	}
	runWire(t, &serverOptions, hello+ack, nil, []wireCase{
		{"idle: DATA", fr(Data, 0, 1, "x"), broken("PROTOCOL_ERROR")},
		{"idle: RST_STREAM", fr(RSTStream, 0, 1, u32(8)), broken("PROTOCOL_ERROR")},
		{"idle: WINDOW_UPDATE", fr(WindowUpdate, 0, 1, u32(8)), broken("PROTOCOL_ERROR")},
		{"idle: DATA of a stream that only we could open", fr(Data, 0, 2, "x"), broken("PROTOCOL_ERROR")},
		{"open: DATA and trailers", open + fr(Data, 0, 1, "body") + fr(Headers, endStream|endHeaders, 1, block("t", "v")), []string{openLog, "Part 1: body", "Trail 1: t: v| end"}},
		{"open: DATA to the end", open + fr(Data, endStream, 1, "body"), []string{openLog, "Part 1: body end"}},
		{"open: the end alone", open + fr(Data, 0, 1, "bo") + fr(Data, 0, 1, "dy") + fr(Data, endStream, 1, ""), []string{openLog, "Part 1: body end"}},
		{"open: padded", open + fr(Data, FlagPadded, 1, "\x02body\x00\x00") + fr(Data, endStream|FlagPadded, 1, "\x01\x00"), []string{openLog, "Part 1: body end"}},
		{"open: padding that is too long (6.1)", open + fr(Data, FlagPadded, 1, "\x05body"), broken("PROTOCOL_ERROR", openLog)},
		{"open: no room for the length of the padding", open + fr(Data, FlagPadded, 1, ""), broken("FRAME_SIZE_ERROR", openLog)},
		{"open: trailers without an end (8.1)", open + fr(Headers, endHeaders, 1, block("t", "v")), faulted("PROTOCOL_ERROR", openLog)},
		{"open: trailers with a pseudo-field (8.1)", open + fr(Headers, endStream|endHeaders, 1, block(":path", "/")), []string{openLog, "Trail 1: malformed, unknown pseudo-field end"}},
		{"half-closed: DATA", done + fr(Data, 0, 1, "x"), faulted("STREAM_CLOSED", doneLog)},
		{"half-closed: HEADERS", done + fr(Headers, endStream|endHeaders, 1, get), faulted("STREAM_CLOSED", doneLog)},
		{"half-closed: the rest", done + fr(WindowUpdate, 0, 1, u32(1)) + fr(Priority, 0, 1, u32(0)+"a") + fr(RSTStream, 0, 1, u32(8)), []string{doneLog, "Aborted 1 CANCEL"}},
		{"reset by the client: DATA", open + fr(RSTStream, 0, 1, u32(8)) + fr(Data, 0, 1, "x"), []string{openLog, "Aborted 1 CANCEL", "> RST_STREAM 1 STREAM_CLOSED"}},
		{"reset by the client: HEADERS", open + fr(RSTStream, 0, 1, u32(8)) + fr(Headers, endStream|endHeaders, 1, get), []string{openLog, "Aborted 1 CANCEL", "> RST_STREAM 1 STREAM_CLOSED"}},
		{"reset by the client: the rest", open + fr(RSTStream, 0, 1, u32(8)) + fr(RSTStream, 0, 1, u32(8)) + fr(WindowUpdate, 0, 1, u32(1)) + fr(Priority, 0, 1, u32(0)+"a"), []string{openLog, "Aborted 1 CANCEL"}},
		{"reset by us: all is ignored", open + fr(WindowUpdate, 0, 1, u32(0)) + fr(Data, 0, 1, "x") + fr(Headers, endStream|endHeaders, 1, get) + fr(RSTStream, 0, 1, u32(8)) + fr(WindowUpdate, 0, 1, u32(0)), faulted("PROTOCOL_ERROR", openLog)},
		{"an id that goes down (5.1.1)", fr(Headers, endStream|endHeaders, 5, get) + fr(Headers, endStream|endHeaders, 3, get), []string{"Head 5: " + getLog + " end", "> GOAWAY 5 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}},
		{"too many (5.1.2), whose blocks count nevertheless (4.3)",
			fr(Headers, endHeaders, 1, post) + fr(Headers, endHeaders, 3, post) + fr(Headers, endHeaders, 5, post) + fr(Headers, endHeaders, 7, post) +
				fr(Headers, endHeaders, 9, post+"\x40\x01t\x01v") + fr(Headers, endHeaders|endStream, 1, "\xbe"),
			[]string{openLog, "Head 3: " + postLog, "Head 5: " + postLog, "Head 7: " + postLog, "> RST_STREAM 9 REFUSED_STREAM", "Refused", "Trail 1: t: v| end"}},
	})
}

func TestClosedStreams(t *testing.T) { // RFC 9113 5.1
	answer := func(r *rig) {
		r.event = func(ev Event) {
			if ev.End {
				r.s.AppendResponse(nil, ev.Stream, []byte("HTTP/1.1 200 OK\r\n\r\n"), true)
				r.s.Release(nil, ev.Stream)
			}
		}
	}
	done, log := fr(Headers, endStream|endHeaders, 1, get), "Head 1: "+getLog+" end"
	gone := []string{log, "> GOAWAY 1 STREAM_CLOSED", "Broken STREAM_CLOSED"}
	runWire(t, &serverOptions, hello+ack, answer, []wireCase{
		{"DATA", done + fr(Data, 0, 1, "x"), gone},
		{"HEADERS", done + fr(Headers, endHeaders|endStream, 1, get), gone},
		{"WINDOW_UPDATE, PRIORITY, RST_STREAM", done + fr(WindowUpdate, 0, 1, u32(0)) + fr(Priority, 0, 1, u32(0)+"a") + fr(RSTStream, 0, 1, u32(0)), []string{log}},
	})
}

func TestContentLength(t *testing.T) { // RFC 9113 8.1.1
	open := fr(Headers, endHeaders, 1, post+block("content-length", "4"))
	log := "Head 1: POST / HTTP/1.1|host: a|content-length: 4||"
	faulted := []string{"> RST_STREAM 1 PROTOCOL_ERROR", "Faulted 1 PROTOCOL_ERROR"}
	runWire(t, &serverOptions, hello+ack, nil, []wireCase{
		{"kept", open + fr(Data, 0, 1, "bo") + fr(Data, endStream, 1, "dy"), []string{log, "Part 1: body end"}},
		{"kept, with trailers", open + fr(Data, 0, 1, "body") + fr(Headers, endHeaders|endStream, 1, block("t", "v")), []string{log, "Part 1: body", "Trail 1: t: v| end"}},
		{"too many", open + fr(Data, 0, 1, "body!"), append([]string{log}, faulted...)},
		{"too many at last", open + fr(Data, 0, 1, "body") + fr(Data, 0, 1, "!"), append([]string{log, "Part 1: body"}, faulted...)},
		{"too few", open + fr(Data, endStream, 1, "bod"), append([]string{log}, faulted...)},
		{"none", open + fr(Data, endStream, 1, ""), append([]string{log}, faulted...)},
		{"too few before trailers", open + fr(Data, 0, 1, "bod") + fr(Headers, endHeaders|endStream, 1, block("t", "v")), append([]string{log, "Part 1: bod"}, faulted...)},
		{"no body at all", fr(Headers, endHeaders|endStream, 1, post+block("content-length", "4")), []string{"Head 1: malformed, stream ended too early end"}},
	})
}
