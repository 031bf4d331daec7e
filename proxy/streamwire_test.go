package proxy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The reasons not to play a transcript with streams.
const (
	onHTTP10   = "its client speaks HTTP/1.0"
	onConn     = "about the conn of an HTTP/1 client"
	onDrain    = "about how a drain treats the conns of HTTP/1 clients"
	onPipeline = "about requests that come together on one conn"
	onFraming  = "about HTTP/1 framing of the request"
	onTrailers = "a lane to chunks takes trailers from chunks alone"
	onBadHead  = "a malformed head ends its stream, without an answer"
	onLimits   = "a head that is too long is refused before its parts are looked at"
	onCookies  = "several cookie fields are one for HTTP/1"
	onEarly    = "a stream ends with its answer, and the rest of the request with it"
	onHead     = "windows hold no head back"
	onCall     = "a call ends with trailers in a stream: TestStreamCallEnds"
	onProtocol = "tunnels of streams are WebSockets, and begin with no body"
	onListener = "what its listener is decides, and a stream has none"
)

// notOfStreams are the transcripts that are about HTTP/1 clients.
var notOfStreams = map[string]string{
	"chunked-to-1.0":            onHTTP10,
	"close-delimited-1.0":       onHTTP10,
	"continue-1.0":              onHTTP10,
	"keepalive-1.0":             onHTTP10,
	"no-host-1.0":               onHTTP10,
	"no-host-retry":             onHTTP10,
	"short-chunked-1.0":         onHTTP10,
	"upgrade-1.0":               onHTTP10,
	"via-1.0":                   onHTTP10,
	"connection-close":          onConn,
	"idle-timeout":              onConn,
	"linger":                    onConn,
	"cut":                       onConn,
	"standstill-write":          onConn,
	"forwarded-nominated":       onConn,
	"hop-by-hop":                onConn,
	"te-trailers":               onConn,
	"upgrade-h2c":               onConn,
	"upgrade-before-body":       onConn,
	"upgrade-body-limit":        onConn,
	"queue-shut":                onConn,
	"reuse-safe":                onConn,
	"reuse-safe-limited":        onConn,
	"queue-tunnel-unread":       onConn,
	"drain":                     onDrain,
	"drain-idle":                onDrain,
	"drain-kept":                onDrain,
	"drain-new-client":          onDrain,
	"drain-pipelined":           onPipeline,
	"error-pipelined":           onPipeline,
	"pipelining":                onPipeline,
	"pipelining-own-replies":    onPipeline,
	"pipelining-never-reads":    onPipeline,
	"redirect-pipelined":        onPipeline,
	"retry-pause-pipelined":     onPipeline,
	"empty-lines":               onFraming,
	"error-400-chunk":           onFraming,
	"error-501":                 onFraming,
	"error-505":                 onFraming,
	"chunked-request":           onTrailers,
	"trailers-withheld":         onTrailers,
	"request-id-nominated":      onConn,
	"request-id-off-trailers":   onTrailers,
	"request-id-trailers":       onTrailers,
	"trace-retry":               onHTTP10,
	"https-redirect":            onListener,
	"https-redirect-mapped":     onListener,
	"tls":                       onConn,
	"head-timeout":              onConn,
	"standstill-silent":         onConn,
	"half-close-in-body":        onConn,
	"eject-not-aborts":          onConn,
	"connection-malformed":      onConn,
	"error-400":                 onBadHead,
	"error-421":                 onBadHead,
	"grpc-refused":              onBadHead,
	"hsts":                      onBadHead,
	"error-431":                 onLimits,
	"reload-header-bytes":       onLimits,
	"target-bytes":              onLimits,
	"hash-cookie":               onCookies,
	"sticky-several":            onCookies,
	"early-200":                 onEarly,
	"early-answer-backend-gone": onEarly,
	"client-write-timeout":      onHead,
	"grpc-deadline-answer":      onCall,
	"standstill":                onProtocol,
	"reload-route":              onProtocol,
	"requests-max-tunnel":       onProtocol,
	"upgrade":                   onProtocol,
	"upgrade-body-refused":      onProtocol,
	"upgrade-length-0":          onProtocol,
	"upgrade-with-body":         onProtocol,
}

// otherChunks is the transcript that shows how a long body is cut into chunks. The cuts
// depend on how much is read at once, and streams read no chunk lines.
const otherChunks = "chunked-both-large"

// TestH2Wire plays the transcripts whose clients could as well be streams, with a stream
// for each request instead of a part of a conn. Backends must get the same bytes at the same
// point of the script, and clients the same messages: an exchange asks its front for nothing
// that only HTTP/1 has.
func TestH2Wire(t *testing.T) {
	if raceOn {
		t.Skip("one goroutine: .ci/run has it with invariants alone")
	}
	files, err := filepath.Glob("testdata/*.wire")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	played, known := 0, maps.Clone(notOfStreams)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".wire")
		if known[name] != "" {
			delete(known, name)
			continue
		}
		played++
		t.Run(name, func(t *testing.T) { testH2Wire(t, file, name != otherChunks) })
	}
	t.Logf("%d of %d transcripts", played, len(files))
	for name := range known {
		t.Errorf("there is no transcript %s", name)
	}
}

func testH2Wire(t *testing.T, file string, exact bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script := string(text)
	whole := playStreams(t, script, playing{}, false)
	if want, got := asStream(withoutClients(script)), asStream(withoutClients(whole.out.String())); got != want && exact {
		t.Errorf("%s:\n%s", file, firstDiff(want, got))
	}
	want := asStream(summary(play(t, script, playing{}).backendConns()))
	if got := asStream(whole.summary()); got != want {
		t.Errorf("%s:\n%s", file, firstDiff(want, got))
	}
	whole.checkStreams(script)
	if whole.together {
		return
	}
	for _, how := range []playing{{cut: true}, {tiny: true}, {}, {cut: true, tiny: true}, {layered: true}} {
		narrow := how.cut == how.tiny
		if how.layered && (testing.Short() || notOverTLS[strings.TrimSuffix(filepath.Base(file), ".wire")]) {
			break
		}
		p := playStreams(t, script, how, narrow)
		if got, want := asPlain.Replace(asStream(p.summary())), asPlain.Replace(want); got != want {
			t.Errorf("%s, %+v, narrow %t:\n%s", file, how, narrow, firstDiff(want, got))
		}
		p.checkStreams(script)
	}
}

// playStreams is play with streams for clients. narrow makes their windows hold next to
// nothing.
func playStreams(t *testing.T, script string, how playing, narrow bool) *player {
	p := &player{t: t, playing: how, streaming: true, narrow: narrow, count: make(map[string]int)}
	p.play(script)
	return p
}

// withoutClients returns a transcript without the lines that clients receive.
func withoutClients(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		if !strings.HasPrefix(line, "client") || !isSeen(strings.TrimSuffix(line, "\n")) {
			out.WriteString(line)
		}
	}
	return out.String()
}

var (
	fieldNames = regexp.MustCompile(`(?m)^(backend\d*< )?[A-Za-z0-9_-]+: `)
	keyLines   = regexp.MustCompile(`(?m)^(backend\d*< )?sec-websocket-(key|version): .*\n`)
)

// asStream takes what differs for a request in a stream from what a backend sees.
func asStream(text string) string {
	text = fieldNames.ReplaceAllStringFunc(text, strings.ToLower)
	text = keyLines.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "x-forwarded-proto: https", "x-forwarded-proto: http")
	return strings.ReplaceAll(text, "via: 2.0 ", "via: 1.1 ")
}

// streamMessage is a response as both kinds of client see it.
type streamMessage struct {
	status string // "200 OK"
	fields map[string][]string
	body   string
	whole  bool
	open   bool // it is not known yet whether it is whole
}

func (m streamMessage) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n", m.status)
	for _, name := range slices.Sorted(maps.Keys(m.fields)) {
		fmt.Fprintf(&s, "%s: %q\n", name, m.fields[name])
	}
	return s.String() + quote([]byte(m.body)) + "\n"
}

// checkStreams compares the messages that the streams got with the script.
func (p *player) checkStreams(script string) {
	p.t.Helper()
	for _, c := range p.streams {
		got, want := c.got, c.expected(script)
		for i := range max(len(got), len(want)) {
			switch {
			case i >= len(got):
				p.t.Errorf("%s got no\n%v", c.name, want[i])
			case i >= len(want):
				p.t.Errorf("%s got beside all else\n%v", c.name, got[i])
			case asPlain.Replace(got[i].String()) != asPlain.Replace(want[i].String()):
				p.t.Errorf("%s got\n%vwant\n%v", c.name, got[i], want[i])
			case got[i].whole != want[i].whole && !got[i].open:
				p.t.Errorf("%s got as whole (%t)\n%v", c.name, got[i].whole, got[i])
			}
		}
	}
}

// messages returns the messages that the streams of c got.
func (c *streamClient) messages() (all []streamMessage) {
	for _, s := range c.streams {
		all = append(all, s.messages()...)
	}
	return all
}

// messages returns the messages that s got.
func (s *wireStream) messages() (all []streamMessage) {
	for i, r := range s.replies {
		status, fields, _ := strings.Cut(string(r.head), "\n")
		m := streamMessage{status: status, fields: make(map[string][]string), body: string(r.body)}
		for line := range strings.SplitSeq(strings.TrimSuffix(fields, "\r\n"), "\r\n") {
			if name, value, ok := strings.Cut(line, ": "); ok && name != "trailer" {
				m.fields[strings.ToLower(name)] = append(m.fields[strings.ToLower(name)], value)
			}
		}
		interim := i < len(s.replies)-1
		m.whole = interim || s.s.came
		m.open = !interim && (!s.s.came && !s.reset || s.tunnel)
		all = append(all, m)
	}
	return all
}

// expected returns the messages that the client with this name receives in the script.
func (c *streamClient) expected(script string) (all []streamMessage) {
	var raw []byte
	for line := range strings.SplitSeq(script, "\n") {
		if text, ok := strings.CutPrefix(line, c.name+"<"); ok {
			raw = append(raw, strings.Join(unquote(c.p.t, text), "")...)
		}
	}
	final := 0
	add := func(m *simMessage, whole bool) {
		for _, name := range []string{"connection", "transfer-encoding", "upgrade", "trailer"} {
			delete(m.fields, name)
		}
		all = append(all, streamMessage{strconv.Itoa(m.code()), m.fields, string(m.body), whole, false})
	}
	r := simReader{onHead: func(*simMessage) {}}
	r.bodyless = func(m *simMessage) bool {
		head := final < len(c.streams) && c.streams[final].method == "HEAD"
		return m.code()/100 == 1 || m.code() == 204 || m.code() == 304 || head
	}
	r.onWhole = func(m *simMessage) {
		add(m, true)
		if m.code() >= 200 {
			final++
		}
	}
	r.feed(raw)
	if r.wrong != nil {
		c.p.t.Fatal(r.wrong)
	}
	if r.m != nil {
		add(r.m, false)
	}
	return all
}
