package rewrite

import (
	"bytes"
	"strings"

	"lb/config"
	"lb/httpparse"
)

// Path returns the path of the request, without its query.
func (r *Request) Path() []byte {
	path := r.Message.Path.Of(r.Text)
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		return path[:i]
	}
	return path
}

// MethodIs reports whether the method is name. Case does not count, because some backends do
// not count it either.
func (r *Request) MethodIs(name string) bool {
	return strings.EqualFold(name, string(r.Message.MethodName.Of(r.Text)))
}

// SchemeIs reports whether the client's side is of this scheme, "http" or "https".
func (r *Request) SchemeIs(scheme string) bool { return r.Secure() == (scheme == string(https)) }

// HeaderIs reports whether one of the field lines has exactly this value; name is in lower
// case.
func (r *Request) HeaderIs(name, value string) bool { return r.Message.HasLine(r.Text, name, value) }

// Hashed returns the part of the request that a pool hashes, or the address of the client if
// the request does not have it. It is valid until the next call.
func (r *Request) Hashed(h config.Hash) []byte {
	switch h.Key {
	case config.KeyPath:
		return r.Path()
	case config.KeyHeader:
		if v, ok := r.Message.Lookup(r.Text, h.Name); ok {
			return v
		}
	case config.KeyCookie:
		if v, ok := r.Message.LookupCookie(r.Text, h.Name); ok {
			return v
		}
	}
	return r.Origin()
}

// WaitsFor100 reports whether the client may hold its body back until a 100, which only the
// backend can send: nothing of the body has come, and the expectation is passed on.
func (r *Request) WaitsFor100() bool {
	m := r.Message
	if !m.ExpectContinue || m.Length == 0 || len(r.Text) > int(m.HeadLen) {
		return false
	}
	f, _ := m.Find(httpparse.Expect)
	return !m.Nominates(r.Text, f)
}

// TargetOf returns the target in a request head that AppendHead made.
func TargetOf(head []byte) []byte {
	_, head, _ = bytes.Cut(head, []byte{' '})
	target, _, _ := bytes.Cut(head, []byte{' '})
	return target
}
