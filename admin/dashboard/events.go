package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"lb/admin/api"
)

const (
	// every is how often a stream has an event.
	every = time.Second
	// streamsMax is how many streams there are at once; more are refused.
	streamsMax = 16
	// writeTimeout is how long an event may take to be written.
	writeTimeout = 5 * time.Second
	// faultsShown is how many faults a whole message has, and faultsMax how many one of changes.
	faultsShown = 50
	faultsMax   = 20
)

// Source is what the page shows. An api.Control is one. Any goroutine may call it.
type Source interface {
	Status() api.Status
	History() api.History
	// Faults returns the newest max faults, the newest last.
	Faults(max int) []json.RawMessage
	// FollowFaults calls each with nil once it has begun, with the newest most faults, and with
	// every fault from then on, until ctx is done.
	FollowFaults(ctx context.Context, most int, each func(json.RawMessage)) error
}

// Events is the handler of the stream of events (server-sent events, as the HTML standard
// has them). While there are streams, lb is looked at once a second, however many there are;
// without streams nothing is done. Any goroutine may call its methods.
type Events struct {
	source Source
	tick   func(context.Context, func()) // calls its function every second until the context is done

	mu      sync.Mutex
	streams map[*stream]bool
	stop    context.CancelFunc // ends the looking; nil if there is none
	closed  bool
	last    *look
	faults  []json.RawMessage // since the last look
	lost    int
	looking sync.WaitGroup
}

// stream is one client.
type stream struct {
	next  chan []byte // with room for one event
	whole bool        // it needs a whole message, because it is new or has missed one
}

// NewEvents returns a handler that has no streams yet.
func NewEvents(source Source) *Events {
	return &Events{source: source, tick: tickEvery, streams: map[*stream]bool{}}
}

func tickEvery(ctx context.Context, f func()) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

// Close ends all streams, and refuses new ones. The page connects again, to a new process
// if there is one.
func (e *Events) Close() {
	e.mu.Lock()
	e.closed = true
	for s := range e.streams {
		e.remove(s)
	}
	e.mu.Unlock()
	e.looking.Wait()
}

// ServeHTTP answers with events until the client goes away or Close is called. The timeouts
// of the server do not end the stream; a client that does not take an event does.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := e.add()
	if s == nil {
		http.Error(w, "too many clients follow the events, or lb is about to end", http.StatusServiceUnavailable)
		return
	}
	defer func() {
		e.mu.Lock()
		e.remove(s)
		e.mu.Unlock()
	}()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{}) // else the server would take the end of its time for the end of the client
	for {
		select {
		case text, more := <-s.next:
			if !more {
				return
			}
			out.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := w.Write(text); err != nil || out.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// add returns a new stream, which has a whole message already, or nil if there is no room.
func (e *Events) add() *stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.streams) >= streamsMax {
		return nil
	}
	s := &stream{next: make(chan []byte, 1), whole: true}
	e.streams[s] = true
	if e.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		e.stop = stop
		e.last, e.faults, e.lost = nil, nil, 0
		e.looking.Go(func() { e.tick(ctx, e.look) })
		e.looking.Go(func() { e.source.FollowFaults(ctx, 0, e.note) })
	}
	e.looking.Go(e.look) // at once for the new one
	return s
}

// remove ends a stream, and the looking with the last one. The caller holds the lock.
func (e *Events) remove(s *stream) {
	if !e.streams[s] {
		return
	}
	delete(e.streams, s)
	close(s.next)
	if len(e.streams) == 0 {
		e.stop()
		e.stop = nil
	}
}

// note keeps a fault for the next event, and counts what stands for lost ones. The first
// call, with nil, says that the following has begun.
func (e *Events) note(fault json.RawMessage) {
	if fault == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var lost api.Lost
	if json.Unmarshal(fault, &lost) == nil && lost.Kind == "lost" {
		e.lost += int(lost.Lost)
		return
	}
	e.faults = append(e.faults, slices.Clone(fault))
	if over := len(e.faults) - faultsMax; over > 0 {
		e.faults = slices.Delete(e.faults, 0, over)
		e.lost += over
	}
}

// look looks at lb and gives every stream an event: what has changed or, if it has none of
// the state before, everything. A stream that has not taken its last event misses this one.
func (e *Events) look() {
	now := &look{at: time.Now(), status: e.source.Status()}
	h := e.source.History()
	now.history = h.At
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.last
	if len(e.streams) == 0 || before != nil && !now.at.After(before.at) {
		return // another look was faster, and the next will come
	}
	if now.rates(before, h); before != nil && now.at.Sub(before.at) < every/2 {
		now.rate, now.errors = before.rate, before.errors // too short a time for a rate
	}
	e.last = now
	var delta, whole []byte
	if before != nil {
		m := now.changes(before, h)
		m.Faults, m.Lost = e.faults, e.lost
		delta = event(m)
	}
	e.faults, e.lost = nil, 0
	for s := range e.streams {
		text := delta
		if s.whole || delta == nil {
			if whole == nil {
				whole = event(now.whole(h, e.source.Faults(faultsShown)))
			}
			text = whole
		}
		select {
		case s.next <- text:
			s.whole = false
		default:
			s.whole = true
		}
	}
}

// event returns m as one event. JSON without indentation has no line break.
func event(m *message) []byte {
	var b bytes.Buffer
	b.WriteString("data: ")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(m) // it ends with a line break
	b.WriteString("\n")
	return b.Bytes()
}
