package redact

// Secret reports whether a field, a parameter or a key of this name has a secret as its value.
func Secret(name string) bool { return isSecret([]byte(name)) }

// URL returns s, a URL or a target, with Mark in place of each secret.
func URL(s string) string {
	var out []byte
	for rest := []byte(s); ; {
		keep, hide := NextInURL(rest)
		out = append(out, rest[:keep]...)
		if hide == 0 {
			return string(out)
		}
		out = append(out, Mark...)
		rest = rest[keep+hide:]
	}
}
