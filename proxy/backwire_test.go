package proxy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"lb/config"
	"lb/loop/looptest"
)

// The reasons not to play a transcript with backends of HTTP/2.
const (
	onUpgrade = "streams to backends are no tunnels"
	onAnswer  = "about how HTTP/1 frames the answer, or its head that has come in part"
	onReads   = "how much is read or taken at once decides"
	onHost    = "an empty Host is not sent in a stream"
	onEnd     = "a stream has no end after the end of the answer"
	onReuse   = "which conn of HTTP/1 gets a request, or is no longer used"
)

// notOfBackends are the transcripts that are about HTTP/1 backends.
var notOfBackends = map[string]string{
	"backend-write-timeout":      onReads,
	"client-write-timeout":       onReads,
	"te-trailers":                onUpgrade,
	"request-id-trailers":        onUpgrade,
	"no-host-1.0":                onHost,
	"upgrade-body-refused":       onUpgrade,
	"upgrade-refused":            onUpgrade,
	"abort-in-tunnel":            onUpgrade,
	"answer-chunks":              onAnswer,
	"answer-framing":             onAnswer,
	"answer-lines":               onAnswer,
	"answer-options":             onAnswer,
	"backend-1.0":                onAnswer,
	"chunked-both-large":         onReads,
	"date-nominated":             onAnswer,
	"drain-idle":                 onReuse,
	"drain-kept":                 onReuse,
	"drain":                      onReuse,
	"early-answer-backend-gone":  onEnd,
	"eject-not-by-tunnels":       onUpgrade,
	"eject-not-in-a-row":         onReuse,
	"evacuate-down":              onAnswer,
	"hop-by-hop":                 onAnswer,
	"queue-drain":                onReuse,
	"queue-retry":                onReuse,
	"queue-tunnel-half-closed":   onUpgrade,
	"queue-tunnel-unread":        onUpgrade,
	"queue-tunnel":               onUpgrade,
	"reload-tunnel":              onUpgrade,
	"requests-max-tunnel":        onUpgrade,
	"retry-503-others":           onReuse,
	"retry-503-used-up":          onReuse,
	"reuse-bare":                 onReuse,
	"reuse-safe-limited":         onReuse,
	"reuse-safe":                 onReuse,
	"stale-late-body":            onReuse,
	"standstill-write":           onReads,
	"standstill":                 onUpgrade,
	"sticky-ejected":             onReuse,
	"tls":                        onReuse,
	"trailers-withheld":          onAnswer,
	"tunnel-half-closed":         onUpgrade,
	"tunnel-idle":                onUpgrade,
	"upgrade-backend-ends-first": onUpgrade,
	"upgrade-before-body":        onUpgrade,
	"upgrade-body-limit":         onUpgrade,
	"upgrade-length-0":           onUpgrade,
	"upgrade-other-protocol":     onUpgrade,
	"upgrade-reset":              onUpgrade,
	"upgrade-unasked":            onUpgrade,
	"upgrade-with-body":          onUpgrade,
	"upgrade":                    onUpgrade,
}

// h2Served is a backend's conn of a transcript. In truth each of its requests is a stream of a
// conn of HTTP/2, that of the backend.
type h2Served struct {
	p     *player
	name  string
	place int
	l     *h2Line // of the newest request
	sent  string  // of the present answer
	got   []byte  // as HTTP/1 has it
	busy  bool    // an answer is owed
	gone  bool    // it has ended
}

// speak makes the backends of all pools speak HTTP/2, if p has such.
func (p *player) speak(cfg *config.Config) {
	for i := range cfg.Pools {
		if p.h2c {
			cfg.Pools[i].Protocol = config.ProtocolH2C
		}
	}
}

// openedH2 takes a conn to a backend.
func (p *player) openedH2(place int, peer *looptest.Peer) {
	e := newH2End(peer, true, p.t.Errorf)
	e.accept = func(s *h2Stream) { p.serve(place, s) }
	if p.narrow {
		e.rng = rand.New(rand.NewPCG(1, 1))
		e.start(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2000})
		return
	}
	e.start()
}

// serve has a new stream as the next request of a conn of the transcript.
func (p *player) serve(place int, s *h2Stream) {
	var v *h2Served
	for _, o := range p.served {
		if o.place == place && !o.busy && !o.gone {
			v = o
		}
	}
	if v == nil {
		v = &h2Served{p: p, place: place, name: "backend"}
		if n := len(p.served) + 1; n > 1 {
			v.name += strconv.Itoa(n)
		}
		p.served = append(p.served, v)
	}
	l := newH2Served(s)
	v.l, v.busy, v.sent = l, true, ""
	l.onText = func(b []byte) { v.got = append(v.got, b...) }
	l.onEnd = func() { v.gone = true }
}

func (p *player) servedAs(name string) *h2Served {
	for _, v := range p.served {
		if v.name == name {
			return v
		}
	}
	p.t.Fatalf("there is no request at %s", name)
	return nil
}

// send sends a part of an answer.
func (v *h2Served) send(b []byte) bool {
	v.sent += strings.ToLower(string(b))
	ok := v.l.Send(b)
	if v.busy = !v.l.ended; !v.busy && (strings.HasPrefix(v.sent, "http/1.0") || strings.Contains(v.sent, "\r\nconnection: close\r\n")) {
		v.gone = true // as a conn of HTTP/1 it would not be used again
	}
	return ok
}

// act ends the conn if the request is the only one there, and else the stream.
func (v *h2Served) act(verb string) {
	if e := v.l.e; v.sent == "" && e.active() <= 1 && (verb == "close" || verb == "reset") {
		if v.gone = true; verb == "reset" {
			e.peer.Reset()
		}
		e.end()
		return
	}
	switch verb {
	case "shut":
		v.l.Shut()
		v.busy = !v.l.s.sent
		v.gone = true
	case "close":
		if v.l.sends.part == simUntilEnd {
			v.l.Shut()
		}
		v.l.Close()
		v.gone = true
	case "reset":
		v.l.Reset()
		v.gone = true
	case "pause", "resume":
		v.l.pause(verb == "pause")
	}
}

// TestH2BackWire plays the transcripts whose backends could as well speak HTTP/2, with a
// stream for each request. Clients must get the same bytes at the same point of the script,
// and backends the same requests.
func TestH2BackWire(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wire")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	known := maps.Clone(notOfBackends)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".wire")
		if known[name] != "" {
			delete(known, name)
			continue
		}
		t.Run(name, func(t *testing.T) { testH2BackWire(t, file) })
	}
	for name := range known {
		t.Errorf("there is no transcript %s", name)
	}
}

func testH2BackWire(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script := string(text)
	p := playBackends(t, script, playing{}, false)
	if want, got := throughStream(clientsOf(script)), throughStream(clientsOf(p.out.String())); want != got {
		t.Errorf("%s:\n%s", file, firstDiff(want, got))
	}
	before := play(t, script, playing{})
	want := before.requests()
	if got := p.requests(); got != want {
		t.Errorf("%s:\n%s", file, firstDiff(want, got))
	}
	if before.together {
		return
	}
	for _, how := range []playing{{}, {tiny: true}} {
		p := playBackends(t, script, how, true)
		if got := p.requests(); got != want {
			t.Errorf("%s, %+v:\n%s", file, how, firstDiff(want, got))
		}
		if want, got := throughStream(before.answers()), throughStream(p.answers()); want != got {
			t.Errorf("%s, %+v:\n%s", file, how, firstDiff(want, got))
		}
	}
}

// playBackends is play with streams for backends. narrow makes their windows small, and cuts
// their frames anywhere.
func playBackends(t *testing.T, script string, how playing, narrow bool) *player {
	p := &player{t: t, playing: how, h2c: true, narrow: narrow, count: make(map[string]int)}
	p.play(script)
	return p
}

// requests returns the lines that came to each backend, in no order: which conn of HTTP/1
// they come on is not compared.
func (p *player) requests() string {
	var lines []string
	add := func(place string, got []byte) {
		for line := range strings.Lines(asStream(quote(merge(got)))) {
			if strings.TrimSpace(line) != "" {
				lines = append(lines, place+"< "+strings.TrimSuffix(line, "\n"))
			}
		}
	}
	for _, c := range p.backendConns() {
		add(c.place, c.Received())
	}
	for _, v := range p.served {
		add(placeName(v.place), v.got)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// answers returns the bytes that each client got.
func (p *player) answers() string {
	var s strings.Builder
	for _, c := range p.conns {
		if c.place == "" {
			for line := range strings.Lines(quote(merge(c.Received()))) {
				fmt.Fprintf(&s, "%s< %s", c.name, line)
			}
			s.WriteString("\n")
		}
	}
	return s.String()
}

// clientsOf returns the lines of a transcript that clients see.
func clientsOf(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "client") {
			out.WriteString(line)
		}
	}
	return out.String()
}

var (
	statusLines  = regexp.MustCompile(`(HTTP/1\.1 \d{3})[^\n\\]*`)
	clientFields = regexp.MustCompile(`(?m)^client\d*< [A-Za-z0-9_-]+: `)
)

// throughStream takes what is lost of an answer in a stream from what a client sees.
func throughStream(text string) string {
	text = statusLines.ReplaceAllString(text, "$1")
	return clientFields.ReplaceAllStringFunc(text, strings.ToLower)
}
