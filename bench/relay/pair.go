package relay

import (
	"fmt"
	"io"
	"os"

	"lb/arena"
	"lb/loop"
)

// piecesMax is the number of pieces that one direction moves before others have
// their turn.
const piecesMax = 8

// pair is a client and its backend.
type pair struct {
	relay           *Relay
	client, backend side
	up              bool // the backend conn is connected
}

// side is one of the two conns of a pair.
type side struct {
	loop.Conn
	pair  *pair
	held  *arena.Slab // bytes still to be written to this side; usually nil
	ended bool        // no more bytes come from this side
	shut  bool        // our writing to this side is shut down
}

// newPair returns an unconnected pair.
func (r *Relay) newPair() *pair {
	if n := len(r.free); n > 0 {
		p := r.free[n-1]
		r.free = r.free[:n-1]
		return p
	}
	p := &pair{relay: r}
	p.client.pair, p.backend.pair = p, p
	return p
}

// end closes both sides. p must not be used after it.
func (p *pair) end(reset bool) {
	r := p.relay
	for _, s := range []*side{&p.client, &p.backend} {
		s.Close(reset)
		r.slabs.Put(s.held)
		*s = side{pair: p}
	}
	p.up = false
	delete(r.pairs, p)
	r.free = append(r.free, p)
}

// Ready moves bytes in both directions.
func (s *side) Ready() {
	p := s.pair
	if s.Hangup() {
		p.end(true)
		return
	}
	if !p.up {
		if !p.backend.Writable() {
			return // the client's bytes wait in its socket
		}
		if p.backend.DialResult() != nil {
			p.end(true)
			return
		}
		p.up = true
	}
	if err := p.backend.take(&p.client); err != nil {
		p.end(true)
		return
	}
	if err := p.client.take(&p.backend); err != nil {
		p.end(true)
		return
	}
	if p.client.shut && p.backend.shut {
		p.end(false)
	}
}

// Panicked drops the pair. Its slabs are left to the collector.
func (s *side) Panicked(value any, stack []byte) {
	fmt.Fprintf(os.Stderr, "relay: panic: %v\n%s", value, stack)
	p := s.pair
	for _, s := range []*side{&p.client, &p.backend} {
		s.Close(true)
		p.relay.slabs.Forget(s.held)
	}
	delete(p.relay.pairs, p)
}

// take moves bytes from from to s. It writes the held bytes first, and reads no
// more before they are gone.
func (s *side) take(from *side) error {
	for range piecesMax {
		if s.held != nil && !s.flush() {
			return nil
		}
		if from.ended && !s.shut {
			s.shut = true
			return s.ShutdownWrite()
		}
		if !from.Readable() {
			return nil
		}
		b := s.pair.relay.piece[:]
		n, err := from.Read(b)
		switch {
		case err == io.EOF:
			from.ended = true
		case err != nil:
			return err
		case n > 0:
			if err := s.put(b[:n]); err != nil {
				return err
			}
		}
	}
	from.Again()
	return nil
}

// put writes b and holds the bytes that the socket does not take.
func (s *side) put(b []byte) error {
	n, err := s.Write(b)
	if err != nil || n == len(b) {
		return err
	}
	s.held = s.pair.relay.slabs.Get()
	s.held.W = copy(s.held.B, b[n:])
	return nil
}

// flush writes the held bytes and reports whether the socket took all. An error of
// the conn shows as Hangup, or at the next write.
func (s *side) flush() bool {
	if !s.Writable() {
		return false
	}
	n, _ := s.Write(s.held.Bytes())
	s.held.Take(max(n, 0))
	if s.held.Len() > 0 {
		return false
	}
	s.pair.relay.slabs.Put(s.held)
	s.held = nil
	return true
}
