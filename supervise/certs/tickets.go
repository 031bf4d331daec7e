package certs

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"
)

const (
	// ticketEvery is how long the newest key makes tickets.
	ticketEvery = 12 * time.Hour
	// ticketsKept is how many keys read tickets.
	ticketsKept = 3
	// ticketBytes is the length of a key.
	ticketBytes = 32
)

// tickets are the keys of session tickets.
type tickets struct {
	Keys [][]byte  // the newest first
	Made time.Time // the newest
}

// rotate makes a key if the newest is too old, or was made in the future: the clock was set
// back. It reports whether it has.
func (t *tickets) rotate(now time.Time) bool {
	if age := now.Sub(t.Made); len(t.Keys) > 0 && age >= 0 && age < ticketEvery {
		return false
	}
	key := make([]byte, ticketBytes)
	rand.Read(key) // never fails
	t.Keys = slices.Concat([][]byte{key}, t.Keys[:min(len(t.Keys), ticketsKept-1)])
	t.Made = now
	return true
}

// handed is what one process hands over to the next.
type handed struct {
	Number  uint64 // of the secrets in use
	Tickets tickets
}

// HandOver returns what the process after this one needs, for Manager.Inherit.
func (m *Manager) HandOver() json.RawMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, _ := json.Marshal(handed{m.number, m.tickets}) // never fails
	return text
}

// Inherit takes over what the process before this one has handed over, unless that is
// nothing, or of no use. It is called before Prepare.
func (m *Manager) Inherit(text json.RawMessage) {
	var h handed
	if json.Unmarshal(text, &h) != nil {
		return
	}
	for _, k := range h.Tickets.Keys {
		if len(k) != ticketBytes {
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.number, m.tickets = h.Number, h.Tickets
}
