package front

import (
	"net/netip"
	"time"

	"lb/arena"
	"lb/board"
	"lb/httpparse"
	"lb/loop"
	"lb/loop/tick"
	"lb/loop/tlsconn"
	"lb/proxy/crowd"
	"lb/proxy/lane"
)

// Front is the client's side of one exchange. Its methods are called on its loop, by
// that exchange, from Host.Begin until End or Exchange.Abandon has returned.
type Front interface {
	// Fill reads more of the request's body, or of a tunnel, into the inbox, into a
	// large slab if bulk asks for one. n is the number of bytes read: 0 with a nil
	// error means that none are there now. io.EOF is the end of the client's bytes, any
	// other error the end of the client.
	Fill(bulk bool) (n int, err error)

	// More reports whether Fill may read something although no event has come.
	More() bool

	// Over reports whether Fill has read the last bytes of a body whose framing is
	// httpparse.Stream. Its trailer section, with the empty line that ends it, is valid
	// until the exchange ends, and empty if there is none.
	Over() (section []byte, over bool)

	// AppendHead appends the head of a response: status, fields and framing. It sets
	// r.To, and clears r.Keep if the framing leaves no way to go on after this response.
	// If the backend's body turns out bad before the head is flushed, the head is thrown
	// away and AppendHead is called again, for lb's own reply. So it must leave state
	// that the client shares (HPACK's dynamic table) to Flush.
	AppendHead(dst []byte, r *Reply) []byte

	// Flush writes the pending bytes of ln: first those of the last AppendHead, then
	// those of the body. in is the inbox that ln reads from, or nil for lb's own reply.
	// n is the number of bytes taken. An error is the end of the client.
	Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error)

	// Takes reports whether the client keeps up, so that Flush would move a good part of
	// its bytes. If not, an event follows when it does.
	Takes() bool

	// Behind reports whether what Flush left waits for other exchanges of the client's
	// conn, which has taken some of theirs lately: the client is not slow.
	Behind() bool

	// ShutdownWrite ends the bytes to the client, in a tunnel.
	ShutdownWrite() error

	// Deadline makes Exchange.Expired be called at the given time. The next call moves it.
	Deadline(at tick.Instant)

	// Wake makes Exchange.Run be called in the loop's next turn, without an event.
	Wake()

	// Advance runs the exchange now, because its backend has an event, and then the
	// requests that follow on the same conn.
	Advance()

	// Gone reports whether the client has gone, so that nothing can be read or written.
	Gone() bool

	// Shut reports whether the client has ended its side, as a client that closes does,
	// and one that still reads. Bytes that it sent before may be unread.
	Shut() bool

	// LocalAddr asks the system for the address that the client has connected to, see loop.Conn.
	LocalAddr() netip.AddrPort

	// End ends the exchange, which has released everything that it held.
	End(how Ending)

	// Abandon ends the client, and its exchange if there is one, after a panic while
	// the front was advanced. It calls Exchange.Abandon.
	Abandon()
}

// Ending is how an exchange leaves its client.
type Ending uint8

// The endings. An HTTP/1 front applies them to its conn, an HTTP/2 front to its stream.
const (
	Keep   Ending = iota // the response is whole, and the next request may come
	Close                // the response is whole, and no other will follow
	Unread               // as Close, and a part of the request was not read
	Abort                // the response is not whole, and its framing shows that
	Reset                // the response is not whole, and only a reset can show that (RFC 9112 8)
)

// Exchange is one request and its response. Its front calls its methods, on its loop.
// A method that returns ended reports whether the exchange is over: the exchange has
// then called Front.End, and the front may begin the next one.
type Exchange interface {
	// Run moves the exchange as far as possible now, after an event.
	Run() (ended bool)

	// Expired is called when the deadline has passed.
	Expired() (ended bool)

	// BadHead answers a request whose head was refused for the reason r.
	BadHead(r httpparse.Reason) (ended bool)

	// LateHead answers a request whose head took too long.
	LateHead() (ended bool)

	// Gone ends an exchange whose client went away before the head was whole.
	Gone()

	// Cut ends the exchange at once, because lb stops.
	Cut()

	// Abandon ends the exchange after a panic. It does not call the front.
	Abandon()
}

// Lease is the configuration of one request, from the first byte of its head to the end
// of its exchange, whatever is loaded meanwhile. Host.Begin takes it over, so every
// lease ends in an exchange, unless Host.Return takes it back.
type Lease interface {
	// Limits returns the limits of the head.
	Limits() *httpparse.Limits

	// HeadTimeout returns how long the head may take from its first byte on.
	HeadTimeout() time.Duration
}

// Host is the proxy of a loop, as its fronts see it.
type Host interface {
	// Lease returns the present configuration, for a request whose first byte has come.
	Lease() Lease

	// Return takes back a lease of what turned out to be no request.
	Return(l Lease)

	// Begin begins the exchange of a request. The front lends in, peer and req until
	// the exchange ends; the head of req is at the start of in. since is when the first
	// byte of the head came.
	Begin(f Front, l Lease, in *lane.Inbox, peer *Peer, req *httpparse.Request, since tick.Instant) Exchange

	// Panicked logs and counts a panic, and abandons Shared.Working.
	Panicked(value any, stack []byte)

	// Closed is called when a client conn has gone.
	Closed()
}

// Server has the conns of one protocol of a loop. The proxy of the loop accepts them.
type Server interface {
	// Drain gives every idle conn a moment for a last request. Shared.Draining is set.
	Drain()

	// Cut ends every conn at once and returns how many requests it cut off.
	Cut() (requests int)

	// ListIdle has the idle conns listed in Shared.Crowd.
	ListIdle()
}

// Shared is the state that the proxy of a loop shares with its fronts. Only that loop
// may touch it.
type Shared struct {
	Loop     *loop.Loop
	Arena    *arena.Arena
	Counters *board.Loop
	Refusals *board.Refusals
	Host     Host

	IdleTimeout time.Duration // how long a client may idle, by the present configuration
	HeadTimeout time.Duration // how long a client that has begun a record of TLS may take to end it, while idle
	Draining    bool          // no new requests: fronts end their conns as soon as they may
	Clients     int           // open client conns
	Crowd       *crowd.Crowd  // counts them; nil before there is a limit
	Working     Front         // the front being advanced, or nil; a panic is blamed on it

	shaker *tlsconn.Shaker // nil before the first handshake
}

// Came counts a client conn.
func (s *Shared) Came() {
	s.Clients++
	s.Counters.ClientConns.Add(1)
}

// Left notes that a client conn has ended. key is that of Peer.
func (s *Shared) Left(key uint64) {
	s.Clients--
	s.Counters.ClientConns.Sub(1)
	s.Crowd.Left(key)
	s.Host.Closed()
}

// Shaker returns what runs the TLS handshakes of the loop, with clients and with backends.
func (s *Shared) Shaker() *tlsconn.Shaker {
	if s.shaker == nil {
		s.shaker = tlsconn.NewShaker(s.Loop, s.Arena)
	}
	return s.shaker
}

// Close ends the thread of the handshakes, after the loop has ended.
func (s *Shared) Close() {
	if s.shaker != nil {
		s.shaker.Close()
	}
}

// peerTextBytes is the length of the longest address as text.
const peerTextBytes = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// Way is how a client came in, which its listener decides.
type Way uint8

// The ways.
const (
	Plain          Way = iota
	TLS                // the scheme of the conn is https
	Redirected         // plain, and every request is redirected to https
	RedirectedAt80     // as Redirected, at port 80
	NotTLS             // plain, at a listener for TLS: no request is served
)

// Session is what a client conn and lb have agreed on in their handshake. The zero value is that
// of a conn without TLS.
type Session struct {
	Version  uint16 // as crypto/tls has it
	Protocol string // by ALPN, or empty
	Resumed  bool   // from an earlier session, by a ticket
}

// Name returns the version as text, such as "1.3", or "" without TLS.
func (t *Session) Name() string {
	switch t.Version {
	case 0:
		return ""
	case 0x0303:
		return "1.2"
	case 0x0304:
		return "1.3"
	}
	return "other"
}

// Peer is the other end of a client conn.
type Peer struct {
	// Checked is the version of trusted_proxies that Trusted was computed from, or 0
	// before that. The host counts versions from 1.
	Checked uint32
	Trusted bool // the address is in trusted_proxies
	Served  bool // a request of the client has been answered, and its conn went on

	HTTP2 bool // the conn speaks HTTP/2
	Way   Way
	len   uint8
	text  [peerTextBytes]byte
	Port  uint16     // of Addr, or 0
	TLS   Session    // of the conn
	Addr  netip.Addr // not valid for a unix socket
	Key   uint64     // by which its conns are counted, or 0: see crowd.Crowd.Admit
	Proxy *Proxied   // what a PROXY header has said of the conn, or nil without one
	Kept  *Kept      // conns to backends that are for this client alone, or nil
	// Cert has the field lines that tell a backend about the certificate that the client
	// has shown, or is empty.
	Cert string
}

// Set makes p the peer at addr, not yet checked, that came in by way. An invalid addr
// stands for a unix socket.
func (p *Peer) Set(addr netip.AddrPort, way Way) {
	p.Checked, p.Trusted, p.Served, p.len, p.HTTP2 = 0, false, false, 0, false
	p.Way, p.Cert, p.TLS, p.Key, p.Port, p.Proxy, p.Kept = way, "", Session{}, 0, addr.Port(), nil, nil
	if p.Addr = addr.Addr(); p.Addr.IsValid() {
		p.len = uint8(len(p.Addr.WithZone("").AppendTo(p.text[:0])))
	}
}

// Arrival is where a client conn comes from.
type Arrival struct {
	Addr  netip.AddrPort // of the client; not valid for a unix socket
	Key   uint64         // see Peer, as all that follows
	Proxy *Proxied
}

// Proxied is what is known of a conn beside its Peer if it began with a PROXY header.
type Proxied struct {
	Sender      netip.Addr     // of the header: the other end of the socket; not valid for a unix socket
	Destination netip.AddrPort // where the client has connected; not valid if that is not known
	Facts       string         // what else the header says, see proxyproto.Fact
}

// Address returns the IP address as text, or nothing for a unix socket. It is p's memory.
func (p *Peer) Address() []byte { return p.text[:p.len] }

// Secure reports whether the scheme of the conn's URLs is https.
func (p *Peer) Secure() bool { return p.Way == TLS }

// Scheme returns the scheme of the conn's URLs.
func (p *Peer) Scheme() string {
	if p.Secure() {
		return "https"
	}
	return "http"
}
