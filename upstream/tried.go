package upstream

const (
	triedWordBits = 64
	triedWords    = 4 // room for 256 backends without allocation
)

// Tried is the set of backends that an exchange has tried, by index. The zero value
// is empty. It does not allocate for pools of up to 256 backends. It belongs to one
// exchange; do not copy it unless it is empty.
type Tried struct {
	few  [triedWords]uint64
	more []uint64 // for indexes from 256 on; Reset keeps the memory
	n    int
}

// Add puts a backend into the set; a second time does nothing.
func (t *Tried) Add(index int) {
	word := t.word(index, true)
	bit := uint64(1) << (index % triedWordBits)
	if *word&bit == 0 {
		*word |= bit
		t.n++
	}
}

// Has reports whether a backend is in the set. A nil set is empty.
func (t *Tried) Has(index int) bool {
	if t.Len() == 0 {
		return false
	}
	word := t.word(index, false)
	return word != nil && *word&(1<<(index%triedWordBits)) != 0
}

// Len returns how many backends are in the set. A nil set is empty.
func (t *Tried) Len() int {
	if t == nil {
		return 0
	}
	return t.n
}

// Reset empties the set.
func (t *Tried) Reset() {
	if t.n == 0 {
		return
	}
	t.few, t.n = [triedWords]uint64{}, 0
	clear(t.more)
}

// word returns the word with the bit of index, or nil if it is missing and grow is
// false.
func (t *Tried) word(index int, grow bool) *uint64 {
	i := index / triedWordBits
	if i < triedWords {
		return &t.few[i]
	}
	i -= triedWords
	if i >= len(t.more) {
		if !grow {
			return nil
		}
		t.more = append(t.more, make([]uint64, i+1-len(t.more))...)
	}
	return &t.more[i]
}
