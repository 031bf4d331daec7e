package accesslog

import (
	"bytes"
	"sync/atomic"
	"time"
)

const (
	// every is how old a line may become in a ring.
	every = 100 * time.Millisecond
	// retryEvery is how long to wait after a write that has failed.
	retryEvery = 250 * time.Millisecond
	// patience is how long lines wait for a file that refuses them, such as on a full disk,
	// before they are lost. A reader that is stuck or away gets what fits into the rings.
	patience = time.Second
	// switchTimeout is how long Use waits for the goroutine to change the target.
	switchTimeout = 500 * time.Millisecond
	// idleMin is the least time between two looks that find nothing.
	idleMin = 5 * time.Millisecond
	// moveEvery is how often to look whether the path still names the same file while no
	// lines come. While they do, it is before each write.
	moveEvery = time.Second
	// endTimeout is how long the end, and the end of the log, may take.
	endTimeout = time.Second
	// stuckTimeout is how much longer Close waits before it takes the goroutine for stuck in a
	// system call.
	stuckTimeout = time.Second
)

// Writer writes the lines of all rings to one target. Its methods are for one goroutine,
// the desk, and none of them waits for the target, except Use and Close, for a bounded time.
type Writer struct {
	o    Options
	path string // of the target that was used last
	next atomic.Pointer[Change]
	bell chan struct{} // has a value when there is something to do besides lines
	done chan struct{} // closed when the goroutine has ended; nil before Start

	ending   atomic.Bool
	leaving  atomic.Bool // another process writes what is left
	deserted atomic.Bool // Close has given up: the rings must not be touched

	// What follows belongs to the goroutine.
	to       target // nil: off
	toPath   string
	line     []byte    // one that the target has taken a part of, and is out of its ring; empty if there is none
	begun    int       // how much of it the target has taken
	spliced  []byte    // room for a line that lies in both parts of a ring
	wrote    bool      // something, in this turn
	refusal  error     // of the target, since which it has taken nothing
	refused  time.Time // when that was
	lookedAt time.Time // when the path was looked at
	deadline time.Time // of the end of the log; zero while there is none
	trouble  trouble
}

// Change is a target that is open and not used yet.
type Change struct {
	path   string
	to     target // nil: off, or reopen is set
	reopen bool   // open the path again on the goroutine
	used   bool
	done   chan struct{} // closed once the lines go there; nil if reopen is all
}

// New returns a Writer that does nothing before Start.
func New(o Options) *Writer {
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Writer{o: o, bell: make(chan struct{}, 1)}
	w.trouble.log = o.Log
	return w
}

// Prepare opens path, "" for none. It changes nothing yet: the Change is for Begin and Use, or
// for Drop. A path that cannot be opened is an error, with what to do about it, unless it is the one
// in use: a disk that is full for a while is no reason to refuse another configuration.
func (w *Writer) Prepare(path string) (*Change, error) {
	if path == "" {
		return &Change{}, nil
	}
	to, err := open(path)
	if err != nil && path != w.path {
		return nil, openError(path, err)
	}
	return &Change{path: path, to: to, reopen: err != nil}, nil
}

// Drop closes what Prepare has opened.
func (c *Change) Drop() {
	if c.to != nil {
		c.to.close()
	}
}

// Begin turns the log on, if it is off and c turns it on. It is called before the loops have
// the configuration of c.
func (w *Writer) Begin(c *Change) {
	if w.path == "" {
		w.Use(c)
	}
}

// Use has lines go to the target of c from now on. What the rings have goes to the one
// before, if that takes it. It is called after the loops have the configuration of c, and
// waits until the goroutine has changed the target, so that the lines of requests that come
// later are not in the old one; after switchTimeout, the goroutine changes it when it can.
func (w *Writer) Use(c *Change) {
	if c.used {
		return
	}
	c.used, w.path, c.done = true, c.path, make(chan struct{})
	w.replace(c)
	if w.done == nil {
		return // not started
	}
	late := time.NewTimer(switchTimeout)
	defer late.Stop()
	select {
	case <-c.done:
	case <-late.C:
	}
}

// Reopen opens the path again, as after a rotation.
func (w *Writer) Reopen() {
	if w.path != "" {
		w.replace(&Change{path: w.path, reopen: true})
	}
}

// replace puts c in the place of a change that the goroutine has not seen yet, unless that
// opens the path of c already.
func (w *Writer) replace(c *Change) {
	if c.reopen {
		w.next.CompareAndSwap(nil, c)
	} else if old := w.next.Swap(c); old != nil {
		old.Drop()
	}
	w.Wake()
}

// Trouble returns what is wrong with the access log now, in one line, or "". Any goroutine
// may call it.
func (w *Writer) Trouble() string {
	if text := w.trouble.shown.Load(); text != nil {
		return *text
	}
	return ""
}

// Wake has the goroutine look at its rings, which may be others. Any goroutine may call it.
func (w *Writer) Wake() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// Start begins to write.
func (w *Writer) Start() {
	w.done = make(chan struct{})
	w.trouble.dropped = w.o.Dropped()
	go w.run()
}

// Leave leaves to another process what Close cannot write: it gets the rings.
func (w *Writer) Leave() { w.leaving.Store(true) }

// Close writes what is left, for endTimeout, and counts the rest as lost. It returns false,
// after stuckTimeout more, if the target still holds up the goroutine, which may look at the rings of the board until
// the process ends. It may be called again, and without Start.
func (w *Writer) Close() (ended bool) {
	if w.done == nil {
		w.dropAll()
		return true
	}
	w.ending.Store(true)
	w.Wake()
	late := time.NewTimer(endTimeout + stuckTimeout)
	defer late.Stop()
	select {
	case <-w.done:
		w.dropAll()
		return true
	case <-late.C:
		if !w.deserted.Swap(true) {
			w.abandon()
		}
		return false
	}
}

// dropAll closes what was prepared and never used.
func (w *Writer) dropAll() {
	if c := w.next.Swap(nil); c != nil {
		c.Drop()
	}
}

// run is the goroutine.
func (w *Writer) run() {
	defer close(w.done)
	for !w.turn() {
	}
	if w.to != nil {
		w.to.close()
	}
}

// turn writes what there is, and waits for more. It returns true at the end.
func (w *Writer) turn() (ended bool) {
	now := w.o.Now()
	ending := w.ending.Load()
	if ending && w.deadline.IsZero() {
		w.deadline = now.Add(endTimeout)
	}
	if c := w.next.Swap(nil); c != nil {
		w.change(c, now)
		if c.done != nil {
			close(c.done)
		}
	}
	w.follow(now)
	w.wrote = false
	more, err := w.writeAll()
	if w.deserted.Load() {
		return true
	}
	gaveUp := w.refuse(now, err)
	w.trouble.look(now, state{w.toPath, w.to, w.o.Dropped(), more, gaveUp, w.refusal})
	if ending && (!more || !now.Before(w.deadline)) {
		w.giveUp()
		w.trouble.last(w.toPath)
		return true
	}
	w.wait(more, err)
	return false
}

// refuse notes the error of this turn, if there is one. Lines that a file has refused for
// longer than patience are given up; lines that come later are tried once.
func (w *Writer) refuse(now time.Time, err error) (gaveUp bool) {
	switch {
	case err != nil && (w.refusal == nil || w.wrote):
		w.refusal, w.refused = err, now
	case err != nil:
		w.refusal = err
	case w.wrote || !lasting(w.to):
		w.refusal = nil
	}
	if err == nil || !lasting(w.to) || now.Sub(w.refused) < patience {
		return false
	}
	var lost uint64
	if len(w.line) > 0 && (w.begun == 0 || w.to.cut(w.begun)) { // else its rest comes first
		w.line, w.begun, lost = w.line[:0], 0, 1
	}
	lost += w.emptyRings()
	w.countLost(lost)
	return lost > 0
}

// wait waits until there is something to do.
func (w *Writer) wait(more bool, err error) {
	switch {
	case err != nil && w.deadline.IsZero():
		w.sleep(retryEvery)
	case err != nil: // at the end
		w.sleep(min(retryEvery, w.deadline.Sub(w.o.Now())))
	case more && w.to != nil:
		w.to.await(every)
	case w.to != nil:
		began := w.o.Now()
		if w.o.Await(every); !w.wrote && w.o.Now().Sub(began) < idleMin {
			w.sleep(idleMin) // a ring that another process reads has filled
		}
	default:
		w.sleep(moveEvery)
	}
}

// sleep returns when the bell rings, or after d.
func (w *Writer) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.bell:
	case <-timer.C:
	}
}

// change uses c. The target before it gets what it takes at once. Where the log ends, it
// gets a second for that, and the rest is lost.
func (w *Writer) change(c *Change, now time.Time) {
	if c.reopen {
		w.reopen()
		return
	}
	if w.to != nil {
		more, err := w.writeAll()
		for c.path == "" && more && err == nil && w.o.Now().Before(now.Add(endTimeout)) {
			w.to.await(every)
			more, err = w.writeAll()
		}
	}
	w.use(c.to)
	if w.toPath = c.path; c.path == "" {
		w.giveUp()
	}
}

// use writes to another target.
func (w *Writer) use(to target) {
	w.cutLine()
	if w.to != nil {
		w.to.close()
	}
	if s, ok := to.(*syslog); ok {
		s.skipped = w.o.Lost
	}
	w.to, w.trouble.opening, w.refusal = to, nil, nil
}

// cutLine takes back a part of a line, so that the next target gets the whole.
func (w *Writer) cutLine() {
	if w.to != nil && len(w.line) > 0 && w.begun > 0 {
		w.to.cut(w.begun)
		w.begun = 0
	}
}

// follow opens the path again if it names another file, or none.
func (w *Writer) follow(now time.Time) {
	if w.to == nil || !w.pending() && now.Sub(w.lookedAt) < moveEvery {
		return
	}
	w.lookedAt = now
	if w.to.moved() {
		w.reopen()
	}
}

// reopen opens the path again. If that is not possible now, the lines go where they went. A
// line of which the old file has a part is finished there, if possible.
func (w *Writer) reopen() {
	to, err := open(w.toPath)
	if err != nil {
		w.trouble.opening = err
		return
	}
	w.finishLine()
	w.use(to)
}

// pending reports whether there are lines to write.
func (w *Writer) pending() bool {
	if len(w.line) > 0 {
		return true
	}
	for _, r := range w.o.Rings() {
		if first, _ := r.Pending(); len(first) > 0 {
			return true
		}
	}
	return false
}

// writeAll writes what all rings have. more says that the target has not taken everything.
func (w *Writer) writeAll() (more bool, err error) {
	if w.to == nil {
		w.giveUp()
		return false, nil
	}
	if ok, err := w.finishLine(); !ok || err != nil {
		return true, err
	}
	for _, r := range w.o.Rings() {
		if ok, err := w.empty(r); !ok || err != nil {
			return true, err
		}
	}
	return false, nil
}

// finishLine writes the rest of a line that the target has taken a part of.
func (w *Writer) finishLine() (ok bool, err error) {
	if len(w.line) == 0 {
		return true, nil
	}
	n, err := w.to.write(w.line[w.begun:])
	if w.begun += n; w.begun < len(w.line) {
		return false, err
	}
	w.line, w.begun = w.line[:0], 0
	return true, err
}

// empty writes what r has now. It returns false if the target takes no more.
func (w *Writer) empty(r Ring) (ok bool, err error) {
	first, rest := r.Pending()
	whole := bytes.LastIndexByte(first, '\n') + 1
	if ok, err = w.put(r, first[:whole]); !ok || err != nil {
		return ok, err
	}
	if split := first[whole:]; len(split) > 0 { // the line goes on in rest
		end := bytes.IndexByte(rest, '\n') + 1
		w.spliced = append(append(w.spliced[:0], split...), rest[:end]...)
		if ok, err = w.put(r, w.spliced); !ok || err != nil {
			return ok, err
		}
		rest = rest[end:]
	}
	return w.put(r, rest)
}

// put writes whole lines, which come next in r, and frees those that the target has taken.
func (w *Writer) put(r Ring, b []byte) (ok bool, err error) {
	if len(b) == 0 {
		return true, nil
	}
	n, err := w.to.write(b)
	if w.deserted.Load() {
		return false, err
	}
	w.wrote = w.wrote || n > 0
	consumed := n
	if n > 0 && b[n-1] != '\n' {
		start := bytes.LastIndexByte(b[:n], '\n') + 1
		end := n + bytes.IndexByte(b[n:], '\n') + 1
		w.line, w.begun, consumed = append(w.line[:0], b[start:end]...), n-start, end
	}
	r.Consume(consumed)
	return n == len(b), err
}

// giveUp counts what is left as lost, unless another process writes it.
func (w *Writer) giveUp() {
	var lost uint64
	if len(w.line) > 0 {
		w.cutLine()
		w.line, lost = w.line[:0], 1
	}
	w.countLost(lost + w.emptyRings())
}

// emptyRings takes all lines out of the rings, unless another process writes them.
func (w *Writer) emptyRings() (taken uint64) {
	if w.leaving.Load() {
		return 0
	}
	for _, r := range w.o.Rings() {
		first, rest := r.Pending()
		taken += lines(first) + lines(rest)
		r.Consume(len(first) + len(rest))
	}
	return taken
}

// abandon counts what is left as lost while the target holds up the goroutine.
func (w *Writer) abandon() {
	if w.leaving.Load() {
		return
	}
	var lost uint64
	for _, r := range w.o.Rings() {
		first, rest := r.Pending()
		lost += lines(first) + lines(rest)
	}
	w.countLost(lost)
}

func (w *Writer) countLost(lines uint64) {
	if lines > 0 {
		w.o.Lost(lines)
		w.trouble.lost += lines
	}
}

func lines(b []byte) uint64 { return uint64(bytes.Count(b, []byte{'\n'})) }
