package urlpath

// AppendURI appends a request target as a URI has it (RFC 3986): bytes that browsers send
// although the grammar does not have them, and a '%' that begins no escape, are
// percent-encoded. A backslash is among them, which browsers read as a slash.
func AppendURI(dst, target []byte) []byte {
	for i, c := range target {
		escape := false
		if c == '%' {
			_, escape = decode(target[i:])
		}
		if isURI[c] || escape {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

// isURI has the bytes of a path and a query, without '%'. Browsers send '[' and ']' in
// queries, and no recipient minds them.
var isURI = func() (t [256]bool) {
	for _, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~!$&'()*+,;=:@/?[]") {
		t[c] = true
	}
	return t
}()
