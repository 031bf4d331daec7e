package httpparse

import "bytes"

// Lookup returns the value of the first field of that name, in any case, that is not
// hidden. b is the buffer
// that m was parsed from, and the value is a part of it.
func (m *Message) Lookup(b []byte, name string) (value []byte, ok bool) {
	for i := range m.Fields {
		if f := &m.Fields[i]; int(f.Name.Len) == len(name) && !f.hidden && bytes.EqualFold(f.Name.Of(b), []byte(name)) {
			return f.Value.Of(b), true
		}
	}
	return nil, false
}

// Single is Lookup for a field that there may be once: ok is false if there are several. some
// reports whether there are any.
func (m *Message) Single(b []byte, name string) (value []byte, ok, some bool) {
	for i := range m.Fields {
		if f := &m.Fields[i]; int(f.Name.Len) == len(name) && !f.hidden && bytes.EqualFold(f.Name.Of(b), []byte(name)) {
			if some {
				return nil, false, true
			}
			value, some = f.Value.Of(b), true
		}
	}
	return value, some, some
}

// HasLine reports whether a field line of that name, in any case, has exactly that value. b
// is the buffer that m was parsed from.
func (m *Message) HasLine(b []byte, name, value string) bool {
	for i := range m.Fields {
		f := &m.Fields[i]
		if int(f.Name.Len) == len(name) && string(f.Value.Of(b)) == value && !f.hidden && bytes.EqualFold(f.Name.Of(b), []byte(name)) {
			return true
		}
	}
	return false
}

// LookupCookie returns the value of the first cookie of that name (RFC 6265 5.4). b is the
// buffer that m was parsed from, and the value is a part of it.
func (m *Message) LookupCookie(b []byte, name string) (value []byte, ok bool) {
	if !m.Seen.Has(Cookie) {
		return nil, false
	}
	for i := range m.Fields {
		if m.Fields[i].ID != Cookie || m.Fields[i].hidden {
			continue
		}
		for rest := m.Fields[i].Value.Of(b); len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			if n, v, ok := bytes.Cut(bytes.TrimSpace(pair), []byte{'='}); ok && string(n) == name {
				return v, true
			}
		}
	}
	return nil, false
}
