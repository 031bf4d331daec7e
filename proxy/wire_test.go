package proxy

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/looptest"
	"lb/proxy/h1"
	"lb/proxy/waiting"
)

var update = flag.Bool("update", false, "rewrite what was seen in testdata/*.wire")

// TestWire plays every transcript of testdata. lb's actions must be those of the file, byte
// for byte and in that order. Then the script is played again with every byte sent alone,
// and with slabs that hold next to nothing. Each conn must carry the same bytes then,
// whatever the sizes of chunks.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wire")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".wire"), func(t *testing.T) { testWire(t, file) })
	}
}

func testWire(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script := string(text)
	whole := play(t, script, playing{})
	switch got := whole.out.String(); {
	case got == script:
	case *update:
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s (go test -run TestWire -update rewrites the file):\n%s", file, firstDiff(script, got))
	}
	if whole.together {
		return
	}
	for _, how := range []playing{{cut: true}, {tiny: true}, {cut: true, tiny: true}} {
		if got, want := play(t, script, how).summary(), whole.summary(); got != want {
			t.Errorf("%s, %+v:\n%s", file, how, firstDiff(want, got))
		}
	}
	for _, how := range []playing{{layered: true}, {layered: true, cut: true, tiny: true}} {
		if testing.Short() || whole.playing.layered || notOverTLS[strings.TrimSuffix(filepath.Base(file), ".wire")] {
			break
		}
		if got, want := asPlain.Replace(play(t, overTLS(script), how).summary()), asPlain.Replace(whole.summary()); got != want {
			t.Errorf("%s, %+v:\n%s", file, how, firstDiff(want, got))
		}
	}
}

// playing is a way to play a script.
type playing struct {
	cut     bool // every byte is sent alone
	tiny    bool // slabs hold next to nothing
	layered bool // clients have a looptest.Layer, and are taken as after a handshake
}

// asPlain takes what differs over TLS from what a backend and a client see.
var asPlain = strings.NewReplacer("X-Forwarded-Proto: https\r\n", "X-Forwarded-Proto: http\r\n", "proto=https", "proto=http",
	"SameSite=Lax; Secure", "SameSite=Lax")

// absoluteTargets are those of the other scheme.
var absoluteTargets = regexp.MustCompile(`(?m)^(client\d*> [A-Z]+ )http://`)

// overTLS returns script with the targets that clients send over TLS.
func overTLS(script string) string { return absoluteTargets.ReplaceAllString(script, "${1}https://") }

// notOverTLS are the transcripts in which the scheme, or the number of bytes that the socket
// of a client takes, decides.
var notOverTLS = map[string]bool{
	"error-421": true, "redirect": true, "redirect-port": true, "client-write-timeout": true, "hsts-plain": true,
	"hsts-trusted": true, "https-redirect": true, "https-redirect-mapped": true, "route-scheme": true, "tls": true,
}

// firstDiff shows where two texts first differ.
func firstDiff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	part := func(lines []string) string {
		return strings.Join(lines[min(i, len(lines)):min(i+12, len(lines))], "\n\t")
	}
	return fmt.Sprintf("from line %d\nwant\n\t%s\ngot\n\t%s", i+1, part(w), part(g))
}

// player plays one script and writes it down again, with the events that it saw.
type player struct {
	*rig
	t *testing.T
	playing
	// together means that lb's actions depend on which bytes arrive at once, so that the
	// script is not played in other ways.
	together bool
	out      strings.Builder
	conns    []*wireConn // in the order in which they began
	count    map[string]int
	seen     []string // events that lb itself reported
	settings string   // the config line
	toml     string   // the lines of lb.toml

	streaming bool // clients have streams instead of conns
	narrow    bool // their windows hold next to nothing
	h2c       bool // backends have streams
	served    []*h2Served
	streams   []*streamClient
}

// wireConn is one conn as its far end sees it.
type wireConn struct {
	*looptest.Peer
	name  string
	place string // of a backend conn: its backend
	shown int    // how many of its bytes are in the transcript
	ended bool   // its end is in the transcript
	reset bool
	begun bool // its beginning is in the transcript
	last  string
}

// play plays a script with conns on all sides.
func play(t *testing.T, script string, how playing) *player {
	p := &player{t: t, playing: how, count: make(map[string]int)}
	p.play(script)
	return p
}

// play runs a script: each action and then, until nothing moves any more, its effects. An
// action after "& " comes at once with the one before. Lines after "| " are lb.toml, in
// which "a" is the host of the first backend; lines after the first action are for
// "lb: reload".
func (p *player) play(script string) {
	lines := strings.Split(strings.TrimSuffix(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line, joined := lines[i], false
		if line, joined = strings.CutPrefix(line, "& "); joined {
			p.out.WriteString("& ")
		}
		name, text, sends := strings.Cut(line, ">")
		switch {
		case line == "", strings.HasPrefix(line, "#"):
			p.out.WriteString(line + "\n")
			continue
		case isSeen(line):
			continue
		case strings.HasPrefix(line, "config "):
			p.settings = line
			p.out.WriteString(line + "\n")
			continue
		case strings.HasPrefix(line, "|"):
			p.toml += strings.TrimPrefix(line, "|") + "\n"
			p.out.WriteString(line + "\n")
			continue
		case p.rig == nil:
			p.start()
		}
		p.out.WriteString(line + "\n")
		if sends && isName(name) {
			pieces := unquote(p.t, text)
			for i+1 < len(lines) && strings.HasPrefix(lines[i+1], name+">") {
				i++
				p.out.WriteString(lines[i] + "\n")
				pieces = append(pieces, unquote(p.t, strings.TrimPrefix(lines[i], name+">"))...)
			}
			p.send(name, pieces)
		} else {
			p.act(line)
		}
		if next := i + 1; next < len(lines) && strings.HasPrefix(lines[next], "& ") {
			continue // at once with this line
		}
		p.settle()
		p.show()
	}
	for _, c := range p.streams {
		c.got = c.messages()
	}
	p.end()
}

func isName(name string) bool { return name != "" && !strings.ContainsAny(name, " :<>") }

// isSeen reports whether a line is an event that was seen, and no action.
func isSeen(line string) bool {
	if name, _, ok := strings.Cut(line, "<"); ok && isName(name) {
		return true
	}
	_, event, _ := strings.Cut(line, ": ")
	return slices.Contains([]string{"ended", "was reset", "drained"}, event) ||
		strings.HasPrefix(event, "opened at ") || strings.HasPrefix(event, "told to cut, ") ||
		strings.HasPrefix(event, "logs ")
}

// start makes the rig.
func (p *player) start() {
	backends, waits, faults := 1, waiting.Max, looptest.Faults{}
	cfg := config.Default()
	cfg.Via, cfg.RequestID = "lb", "" // not the defaults: every request shows them
	for _, setting := range strings.Fields(strings.TrimPrefix(p.settings, "config ")) {
		key, value, _ := strings.Cut(setting, "=")
		number, _ := strconv.Atoi(value)
		switch key {
		case "tls":
			p.playing.layered = true
		case "together":
			p.together = true
		case "backends":
			backends = number
		case "waits":
			waits = number
		case "buffers":
			faults.BufferMin, faults.BufferMax = number, number
		case "connect_ms":
			faults.ConnectDelay = time.Duration(number) * time.Millisecond
		case "via":
			cfg.Via = value
		case "trusted":
			cfg.TrustedProxies = append(cfg.TrustedProxies, netip.MustParsePrefix(value))
		case "body_bytes":
			cfg.Limits.BodyBytes = int64(number)
		case "header_bytes":
			cfg.Limits.HeaderBytes = number
		case "fields":
			cfg.Limits.Fields = number
		case "target_bytes":
			cfg.Limits.TargetBytes = number
		default:
			p.t.Fatalf("unknown setting %q", setting)
		}
	}
	cfg.Pools = rigConfig(backends).Pools
	if p.toml != "" {
		cfg = p.parse()
	}
	p.speak(cfg)
	p.rig = newRig(p.t, 1, cfg, p.tiny)
	p.k.Faults, p.rig.layered, p.rig.http2 = faults, p.playing.layered, p.streaming
	for _, q := range p.p.now.pools {
		q.room.SetMax(waits)
	}
	p.onEveryConnect(func(place int, peer *looptest.Peer) {
		if p.h2c {
			p.openedH2(place, peer)
			return
		}
		p.opened("backend", placeName(place), peer)
	})
}

// parse reads the lines of lb.toml since the last time.
func (p *player) parse() *config.Config {
	cfg, err := config.Parse("lb.toml", []byte(p.toml))
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.Contains(p.toml, "via =") {
		cfg.Via = "lb"
	}
	if !strings.Contains(p.toml, "request_id =") {
		cfg.RequestID = ""
	}
	for i := range cfg.Pools {
		if !strings.Contains(p.toml, "reuse = ") { // their time stands still, and no conn would rest
			cfg.Pools[i].Reuse = config.ReuseAlways
		}
	}
	p.toml = ""
	return cfg
}

// placeName is the name of backend i in transcripts: a, b, ...
func placeName(i int) string { return string(rune('a' + i)) }

// opened notes a new conn.
func (p *player) opened(kind, place string, peer *looptest.Peer) *wireConn {
	p.count[kind]++
	name := kind
	if n := p.count[kind]; n > 1 {
		name += strconv.Itoa(n)
	}
	c := &wireConn{Peer: peer, name: name, place: place}
	p.conns = append(p.conns, c)
	return c
}

// conn returns the conn with this name. A client is made when it is first named.
func (p *player) conn(name string) *wireConn {
	for _, c := range p.conns {
		if c.name == name {
			return c
		}
	}
	if strings.HasPrefix(name, "client") {
		return p.connect(name, rigClient)
	}
	p.t.Fatalf("there is no conn %q", name)
	return nil
}

func (p *player) connect(name string, from netip.AddrPort) *wireConn {
	c := p.opened("client", "", p.rig.connect(from))
	if c.name != name {
		p.t.Fatalf("%q is named before %q", name, c.name)
	}
	return c
}

// send sends the pieces from the conn with this name, in one go or byte by byte.
func (p *player) send(name string, pieces []string) {
	send := p.sender(name)
	if !p.cut {
		send([]byte(strings.Join(pieces, "")))
		return
	}
	for _, piece := range pieces {
		size := 1
		if len(piece) >= runMin {
			size = 997 // long runs of one byte, in parts
		}
		for part := range slices.Chunk([]byte(piece), size) {
			send(part)
			p.settle()
		}
	}
}

// sender returns the function that sends from the conn or client with this name.
func (p *player) sender(name string) func(b []byte) bool {
	if p.streaming && strings.HasPrefix(name, "client") {
		c := p.streamClient(name)
		return func(b []byte) bool { c.receive(b); return true }
	}
	if p.h2c && strings.HasPrefix(name, "backend") {
		return p.servedAs(name).send
	}
	return p.conn(name).Send
}

// act performs the action of a line.
func (p *player) act(line string) {
	if d, ok := strings.CutPrefix(line, "wait "); ok {
		wait, err := time.ParseDuration(d)
		if err != nil {
			p.t.Fatal(err)
		}
		p.pass(wait)
		return
	}
	name, verb, _ := strings.Cut(line, ": ")
	switch {
	case name == "lb":
		p.command(verb)
	case len(name) == 1:
		p.place(int(name[0]-'a'), verb)
	default:
		p.move(name, verb)
	}
}

// command gives lb a command, or stops it for a while.
func (p *player) command(verb string) {
	if d, ok := strings.CutPrefix(verb, "stand still "); ok {
		stop, err := time.ParseDuration(d)
		if err != nil {
			p.t.Fatal(err)
		}
		p.k.Advance(stop)
		return
	}
	switch verb {
	case "drain":
		p.l.Post(func() { p.p.Drain(func() { p.seen = append(p.seen, "lb: drained") }) })
	case "reload":
		cfg := p.parse()
		p.speak(cfg)
		p.reload(cfg)
	case "cut":
		p.l.Post(func() { p.seen = append(p.seen, fmt.Sprintf("lb: told to cut, %d exchanges cut off", p.p.Cut())) })
	default:
		p.t.Fatalf("lb cannot %q", verb)
	}
}

// check makes the active checks find a backend up or down.
func (p *player) check(i int, h board.Health, why board.Reason) {
	p.board.SetHealth(i, h, why, 0, int64(p.l.Now()))
}

// place changes how a backend takes conns.
func (p *player) place(i int, verb string) {
	s := p.servers[i]
	switch verb {
	case "refuse":
		s.Refuse, s.Silent = true, false
	case "be silent":
		s.Refuse, s.Silent = false, true
	case "accept":
		s.Refuse, s.Silent = false, false
	case "be unknown":
		p.p.targets[i].Addr.IP = netip.AddrPort{}
	case "fail its checks":
		p.check(i, board.Down, board.ReasonConnect)
	case "pass its checks":
		p.check(i, board.Up, board.ReasonOK)
	default:
		p.t.Fatalf("a backend cannot %q", verb)
	}
}

// move makes the far end of a conn do something.
func (p *player) move(name, verb string) {
	if p.streaming && strings.HasPrefix(name, "client") {
		p.moveStreams(name, verb)
		return
	}
	if from, ok := strings.CutPrefix(verb, "open from "); ok {
		addr := netip.AddrPort{}
		if from != "unix" {
			addr = netip.MustParseAddrPort(from)
		}
		p.connect(name, addr)
		return
	}
	if p.h2c && strings.HasPrefix(name, "backend") {
		p.servedAs(name).act(verb)
		return
	}
	c := p.conn(name)
	switch verb {
	case "open":
	case "shut":
		c.Shut()
	case "close":
		c.Close()
	case "reset":
		c.Reset()
	case "pause":
		c.Pause()
	case "resume":
		c.Resume()
	default:
		p.t.Fatalf("%s cannot %q", name, verb)
	}
}

// show writes down new events: backends first, then clients.
func (p *player) show() {
	for _, kind := range []string{"backend", "client"} {
		for _, c := range p.conns {
			if strings.HasPrefix(c.name, kind) {
				c.show(&p.out)
			}
		}
	}
	for line := range strings.Lines(p.log.String()) {
		p.seen = append(p.seen, "lb: logs "+strings.TrimSpace(line))
	}
	p.log.Reset()
	for _, s := range p.seen {
		p.out.WriteString(s + "\n")
	}
	p.seen = nil
}

func (c *wireConn) show(out *strings.Builder) {
	if c.place != "" && !c.begun {
		fmt.Fprintf(out, "%s: opened at %s\n", c.name, c.place)
	}
	c.begun = true
	if b := c.Received()[c.shown:]; len(b) > 0 {
		c.shown += len(b)
		for line := range strings.SplitAfterSeq(quote(b), "\r\n") {
			if text, whole := strings.CutSuffix(line, "\r\n"); whole {
				out.WriteString(strings.TrimRight(c.name+"< "+text, " ") + "\n")
			} else if text != "" {
				out.WriteString(c.name + "< " + text + "\\\n")
			}
		}
	}
	if c.Ended() && !c.ended {
		fmt.Fprintf(out, "%s: ended\n", c.name)
	}
	if c.WasReset() && !c.reset {
		fmt.Fprintf(out, "%s: was reset\n", c.name)
	}
	if c.ended, c.reset = c.Ended(), c.WasReset(); c.last == "" {
		switch {
		case c.ended:
			c.last = "ended"
		case c.reset:
			c.last = "was reset"
		}
	}
}

// end makes all peers go, and checks that nothing is left.
func (p *player) end() {
	for _, s := range p.servers {
		s.Refuse, s.Silent = true, false
	}
	p.k.Faults = looptest.Faults{}
	for _, c := range p.conns {
		c.Resume()
		c.Close()
	}
	for _, c := range p.streams {
		c.e.end()
	}
	for _, v := range p.served {
		v.l.e.end()
	}
	p.settle()
	p.pass(h1.LingerTimeout + time.Second)
	if left := p.leftovers(); len(left) > 0 {
		p.t.Errorf("cut %t, tiny %t: left over: %q, open %q", p.cut, p.tiny, left, p.k.Open())
	}
}

// summary returns the bytes that each conn got, however they were cut.
func (p *player) summary() string { return summary(p.conns) }

// backendConns returns the conns to backends.
func (p *player) backendConns() (all []*wireConn) {
	for _, c := range p.conns {
		if c.place != "" {
			all = append(all, c)
		}
	}
	return all
}

func summary(conns []*wireConn) string {
	var s strings.Builder
	for _, c := range conns {
		last := c.last
		if c.place != "" && last != "" {
			last = "gone" // a reset means that bytes came that the backend did not read
		}
		fmt.Fprintf(&s, "%s at %s, %s\n%s\n", c.name, c.place, last, quote(merge(c.Received())))
	}
	return s.String()
}

// merge joins the chunks of chunked bodies: their number depends only on how the bytes
// arrived.
func merge(b []byte) []byte {
	const mark = "\r\nTransfer-Encoding: chunked\r\n"
	var out, body []byte
	for {
		at := bytes.Index(b, []byte(mark))
		head := bytes.Index(b[max(at, 0):], []byte("\r\n\r\n")) + 4
		if at < 0 || head < 4 {
			return append(out, b...)
		}
		out = append(out, b[:at+head]...)
		b, body = b[at+head:], nil
		for {
			line, rest, ok := bytes.Cut(b, []byte("\r\n"))
			n, err := strconv.ParseUint(string(line), 16, 31)
			if !ok || err != nil || n == 0 || len(rest) < int(n)+2 {
				break
			}
			body = append(body, rest[:n]...)
			b = rest[n+2:]
		}
		out = fmt.Appendf(out, "(%d bytes in chunks)%s\r\n", len(body), body)
	}
}
