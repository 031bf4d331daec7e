package explain

import "strings"

// hidden stands for the value of a credential.
const hidden = "***"

// secretNames are fields whose values are credentials, in lower case.
var secretNames = []string{"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"}

// secretWords mark the names of other fields, and of parameters, whose values are credentials.
var secretWords = []string{"token", "secret", "password", "apikey"}

// isSecret reports whether the value of a field or parameter of this name is a credential.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, s := range secretNames {
		if name == s {
			return true
		}
	}
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// redact returns a field line without a credential.
func redact(line string) string {
	if name, _, ok := strings.Cut(line, ":"); ok && isSecret(name) {
		return name + ": " + hidden
	}
	return line
}

// target returns a request target without credentials in its query, and without user info.
func target(t string) string {
	if scheme, rest, ok := strings.Cut(t, "://"); ok && !strings.ContainsAny(scheme, "/?") {
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if i := strings.LastIndexByte(rest[:end], '@'); i >= 0 {
			t = scheme + "://" + rest[i+1:]
		}
	}
	path, query, ok := strings.Cut(t, "?")
	if !ok {
		return t
	}
	params := strings.Split(query, "&")
	for i, p := range params {
		if name, _, ok := strings.Cut(p, "="); ok && isSecret(name) {
			params[i] = name + "=" + hidden
		}
	}
	return path + "?" + strings.Join(params, "&")
}
