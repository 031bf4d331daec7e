package heads

// Priority is what a client says about the order of answers (RFC 9218).
type Priority struct {
	Urgency     uint8 // 0 (first) to 7 (RFC 9218 4.1)
	Incremental bool  // the answer is of use before it is whole (RFC 9218 4.2)
}

// DefaultPriority is that of a client that says nothing.
var DefaultPriority = Priority{Urgency: 3}

// Read reads the value of a priority field, a dictionary of RFC 8941 3.2: "u=1, i". What
// is not understood is ignored (RFC 9218 4).
func (p *Priority) Read(v []byte) {
	for len(v) > 0 {
		end := 0
		for end < len(v) && v[end] != ',' {
			end++
		}
		p.member(v[:end])
		v = v[min(end+1, len(v)):]
	}
}

// member reads one member of the dictionary.
func (p *Priority) member(m []byte) {
	for len(m) > 0 && isBlank(m[0]) {
		m = m[1:]
	}
	for i, c := range m {
		if c == ';' || isBlank(c) { // parameters, or the end
			m = m[:i]
			break
		}
	}
	switch {
	case len(m) == 3 && m[0] == 'u' && m[1] == '=' && '0' <= m[2] && m[2] <= '7':
		p.Urgency = m[2] - '0'
	case string(m) == "i", string(m) == "i=?1":
		p.Incremental = true
	case string(m) == "i=?0":
		p.Incremental = false
	}
}
