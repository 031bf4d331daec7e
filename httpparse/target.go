package httpparse

import "bytes"

// target takes the four forms of a target apart (RFC 9112 3.2). Its bytes have
// been checked already.
func (r *RequestParser) target(b []byte) Reason {
	t := r.Target.Of(b)
	switch {
	case r.Method == CONNECT:
		return r.authorityForm(t)
	case t[0] == '/':
		r.Path = r.Target
		return NoReason
	case t[0] != '*':
		return r.absoluteForm(t)
	case len(t) > 1 || r.Method != OPTIONS:
		return BadTarget
	}
	r.Path = r.Target
	return NoReason
}

// authorityForm is uri-host ":" port, for CONNECT and nothing else.
func (r *RequestParser) authorityForm(t []byte) Reason {
	if !authority(t) {
		return BadTarget
	}
	if end := hostEnd(t); end+1 >= len(t) {
		return BadTarget // no port
	}
	r.Authority = r.Target
	return NoReason
}

var (
	schemeEnd  = []byte("://")
	pathStarts = "/?"
)

// absoluteForm is http://authority[/path][?query]. The authority is the host
// that counts, whatever Host says (RFC 9112 3.2.2); userinfo is refused
// (RFC 9110 4.2.4).
func (r *RequestParser) absoluteForm(t []byte) Reason {
	scheme, rest, ok := bytes.Cut(t, schemeEnd)
	switch {
	case !ok || !isSchemeName(scheme):
		return BadTarget
	case !sameFold(scheme, "http"):
		return OtherScheme
	}
	n := bytes.IndexAny(rest, pathStarts)
	if n < 0 {
		n = len(rest)
	}
	if !authority(rest[:n]) {
		return BadAuthority
	}
	off := r.Target.Off + uint32(len(t)-len(rest))
	r.Authority = Span{off, uint32(n)}
	r.Path = Span{off + uint32(n), uint32(len(rest) - n)}
	return NoReason
}

// isSchemeName reports whether s is a URI scheme (RFC 3986 3.1).
func isSchemeName(s []byte) bool {
	for _, c := range s {
		if !isScheme[c] {
			return false
		}
	}
	return len(s) > 0 && 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z'
}

// AppendPath appends the target for the next request line, in origin-form or
// asterisk-form: Path, with "/" before it or in its place where an absolute-form
// target had no path, and "*" if it was that of an OPTIONS without a query too
// (RFC 9112 3.2.4). It must not be asked for CONNECT.
func (r *Request) AppendPath(dst, b []byte) []byte {
	path := r.Path.Of(b)
	switch {
	case len(path) == 0 && r.Method == OPTIONS:
		return append(dst, '*')
	case len(path) == 0 || path[0] == '?':
		dst = append(dst, '/')
	}
	return append(dst, path...)
}
