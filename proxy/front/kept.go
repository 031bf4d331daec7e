package front

import "slices"

// Private is a conn to a backend that has said which client it is for (send_proxy).
type Private interface {
	// ClientGone is called when the client has gone. The conn is not in its Kept any more.
	ClientGone()
}

// Kept are the private conns of one client conn that its requests may go over.
type Kept struct {
	conns []Private
	gone  bool
}

// Keeps returns the Kept of p.
func (p *Peer) Keeps() *Kept {
	if p.Kept == nil {
		p.Kept = new(Kept)
	}
	return p.Kept
}

// Leave ends the private conns of p, whose conn is closed. An exchange may still be about to
// end; it keeps none.
func (p *Peer) Leave() {
	if p.Kept != nil {
		p.Kept.leave()
	}
	p.Kept = &left
}

// left is that of clients that have gone. It is never written.
var left = Kept{gone: true}

func (k *Kept) leave() {
	if k.gone {
		return
	}
	k.gone = true
	for len(k.conns) > 0 {
		last := len(k.conns) - 1
		c := k.conns[last]
		k.conns[last], k.conns = nil, k.conns[:last]
		c.ClientGone()
	}
}

// Add adds c, unless the client has gone.
func (k *Kept) Add(c Private) bool {
	if !k.gone {
		k.conns = append(k.conns, c)
	}
	return !k.gone
}

// Remove takes c out, if it is there.
func (k *Kept) Remove(c Private) {
	if at := slices.Index(k.conns, c); at >= 0 {
		k.conns = slices.Delete(k.conns, at, at+1)
	}
}

// All returns the conns, the newest last. They are valid until the next call of a method.
func (k *Kept) All() []Private { return k.conns }
