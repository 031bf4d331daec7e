package front

import (
	"net/netip"
	"time"

	"lb/arena"
	"lb/board"
	"lb/httpparse"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/lane"
)

// Front is the client's side of one exchange. Its methods are called on its loop, by
// that exchange, from Host.Begin until End or Exchange.Abandon has returned.
type Front interface {
	// Fill reads more of the request's body, or of a tunnel, into the inbox, into a
	// large slab if bulk asks for one. n is how many bytes came: 0 with a nil error
	// means none now. io.EOF is the end of what the client sends, any other error
	// the end of the client.
	Fill(bulk bool) (n int, err error)

	// More reports whether Fill may bring something though no event has come.
	More() bool

	// AppendHead appends the head of a response: status, fields and framing. It sets
	// r.To, and clears r.Keep if the framing leaves no way to go on after this response.
	// A head may be thrown away before any of it is flushed, when the backend's body
	// turns out bad: AppendHead is then called again, for lb's own reply. So it must not
	// change what the client has to know (a dynamic table of HPACK) until Flush.
	AppendHead(dst []byte, r *Reply) []byte

	// Flush writes the pending bytes of ln, whose source is in; in is nil for a reply
	// of lb's own. n is how many bytes were taken. An error is the end of the client.
	// The first bytes are those of the last AppendHead, the others are of the body.
	Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error)

	// ShutdownWrite ends the bytes to the client, in a tunnel.
	ShutdownWrite() error

	// Deadline has Exchange.Expired called at that time, unless it is moved again.
	Deadline(at tick.Instant)

	// Wake has Exchange.Run called at the next turn of the loop, without an event.
	Wake()

	// Advance runs the exchange now, because its backend has an event, and then the
	// requests that follow on the same conn.
	Advance()

	// Gone reports whether the client has gone: nothing can be read or written.
	Gone() bool

	// End ends the exchange, which has let go of everything.
	End(how Ending)

	// Abandon ends the client and its exchange, if there is one, after a panic while
	// the front was advanced. It calls Exchange.Abandon.
	Abandon()
}

// Ending is how an exchange leaves its client.
type Ending uint8

// The endings. An HTTP/1 front does this to its conn; one of HTTP/2 does it to its
// stream.
const (
	Keep   Ending = iota // the response is whole, and the next request may come
	Close                // the response is whole, and no other will follow
	Unread               // as Close, and a part of the request was not read
	Abort                // the response is not whole, and its framing shows that
	Reset                // the response is not whole, and only a reset can show that (RFC 9112 8)
)

// Exchange is one request and its response. Its methods are called on its loop by its
// front. Those that return ended report that the exchange is over: it has called
// Front.End, and the front may begin the next.
type Exchange interface {
	// Run moves the exchange as far as it will go now, after an event.
	Run() (ended bool)

	// Expired is called when the deadline has passed.
	Expired() (ended bool)

	// BadHead answers a request whose head was refused for the reason r.
	BadHead(r httpparse.Reason) (ended bool)

	// LateHead answers a request whose head took too long.
	LateHead() (ended bool)

	// Gone ends an exchange whose client went away before the head was whole.
	Gone()

	// Cut ends the exchange at once: lb stops.
	Cut()

	// Abandon ends the exchange after a panic. It does not call the front.
	Abandon()
}

// Lease is the configuration that a request goes by, from the first byte of its head
// to the end of its exchange, whatever is loaded meanwhile. Host.Begin takes it over,
// so every lease ends in an exchange.
type Lease interface {
	// Limits are those of the head.
	Limits() *httpparse.Limits

	// HeadTimeout is how long the head may take from its first byte on.
	HeadTimeout() time.Duration
}

// Host is the proxy of a loop, as its fronts see it.
type Host interface {
	// Lease returns the present configuration, for a request of which the first byte
	// has come.
	Lease() Lease

	// Begin begins the exchange of a request. The front lends in, peer and req until
	// the exchange ends: the head of req is at the front of in. since is when its
	// first byte came.
	Begin(f Front, l Lease, in *lane.Inbox, peer *Peer, req *httpparse.Request, since tick.Instant) Exchange

	// Panicked logs and counts a panic, and abandons Shared.Working.
	Panicked(value any, stack []byte)

	// Closed is called when a client conn has gone.
	Closed()
}

// Shared is what the proxy of a loop and its fronts have in common. Only that loop
// may touch it.
type Shared struct {
	Loop     *loop.Loop
	Arena    *arena.Arena
	Counters *board.Loop
	Host     Host

	IdleTimeout time.Duration // how long a client may idle, by the present configuration
	Draining    bool          // no new requests: fronts end their conns when they may
	Clients     int           // open client conns
	Working     Front         // the one being advanced, or nil: a panic is its doing
}

// peerTextBytes is the length of the longest address as text.
const peerTextBytes = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// Peer is the client at the other end of a conn.
type Peer struct {
	// Checked numbers the trusted_proxies by which Trusted was worked out, or is 0 if it
	// was not yet. It is the host's: requests of one conn may go by different ones.
	Checked uint32
	Trusted bool // the address is in trusted_proxies

	len  uint8
	text [peerTextBytes]byte
}

// Set makes p the peer at addr, not yet checked. An addr that is not valid is that of
// a unix socket.
func (p *Peer) Set(addr netip.Addr) {
	p.Checked, p.Trusted, p.len = 0, false, 0
	if addr.IsValid() {
		p.len = uint8(len(addr.WithZone("").AppendTo(p.text[:0])))
	}
}

// Address returns the IP address as text, empty for a unix socket. It is p's memory.
func (p *Peer) Address() []byte { return p.text[:p.len] }

// Scheme returns the scheme of the conn's URLs.
func (p *Peer) Scheme() string { return "http" }
