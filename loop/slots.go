package loop

// slot belongs to one descriptor. gen counts its uses: an event with another gen is
// stale.
type slot struct {
	conn     *Conn
	listener *listener
	gen      uint32
}

const slotChunk = 1024

// slots is a table by descriptor. It grows by chunks that never move, so that
// growing leaves no garbage and a *slot stays valid.
type slots struct {
	chunks []*[slotChunk]slot
}

// at returns fd's slot, or nil if fd has never been used.
func (s *slots) at(fd int32) *slot {
	if c := uint(fd) / slotChunk; c < uint(len(s.chunks)) && s.chunks[c] != nil {
		return &s.chunks[c][uint(fd)%slotChunk]
	}
	return nil
}

// grow returns fd's slot, making room for it if necessary.
func (s *slots) grow(fd int32) *slot {
	c := int(fd) / slotChunk
	for len(s.chunks) <= c {
		s.chunks = append(s.chunks, nil)
	}
	if s.chunks[c] == nil {
		s.chunks[c] = new([slotChunk]slot)
	}
	return &s.chunks[c][int(fd)%slotChunk]
}

// all yields every slot with a conn, and its descriptor.
func (s *slots) all(yield func(fd int32, s *slot) bool) {
	for c, chunk := range s.chunks {
		if chunk == nil {
			continue
		}
		for i := range chunk {
			if chunk[i].conn != nil && !yield(int32(c*slotChunk+i), &chunk[i]) {
				return
			}
		}
	}
}
