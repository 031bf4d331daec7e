package httpparse

import (
	"bytes"

	"lb/httpparse/list"
)

// target distinguishes the four forms of a target (RFC 9112 3.2). Its bytes are any but
// control bytes, space and '#': no parser takes another one for the target's end.
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

// authorityForm reads uri-host ":" port, the form of CONNECT and of no other method.
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

// absoluteForm reads scheme://authority[/path][?query]. The scheme is http or, on a conn of
// that scheme alone, https: what is meant to be secret does not come in the open. Its
// authority counts, whatever Host says (RFC 9112 3.2.2). Userinfo is refused (RFC 9110 4.2.4).
func (r *RequestParser) absoluteForm(t []byte) Reason {
	scheme, rest, ok := bytes.Cut(t, schemeEnd)
	switch {
	case !ok || !isSchemeName(scheme):
		return BadTarget
	case !list.SameFold(scheme, "http") && !(r.Secure && list.SameFold(scheme, "https")):
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
// asterisk-form. That is Path, with "/" added if an absolute-form target had no path; such
// a target of an OPTIONS without a query becomes "*" (RFC 9112 3.2.4). AppendPath must
// not be called for CONNECT.
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
