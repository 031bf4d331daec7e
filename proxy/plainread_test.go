package proxy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// plainMessage is a message as the plain reader reads it. The reader shares no code with
// httpparse, takes whole messages alone, and knows only what lb may write.
type plainMessage struct {
	start         []string // the three words of the first line
	names, values []string // of the fields, names in lower case
	body          string
	trailers      string
}

// verdicts of the plain reader
const (
	plainCut = iota // the message may go on
	plainWhole
	plainBad
)

var (
	plainRequest = regexp.MustCompile(`^([!#$%&'*+.^_|~0-9A-Za-z\x60-]+) ([^\x00- \x7f#]+) (HTTP/1\.[0-9])$`)
	plainStatus  = regexp.MustCompile(`^(HTTP/1\.[0-9]) ([1-9][0-9][0-9]) ([^\x00]*)$`)
	plainField   = regexp.MustCompile(`^([!#$%&'*+.^_|~0-9A-Za-z\x60-]+):[ \t]*([^\x00]*?)[ \t]*$`)
	plainSize    = regexp.MustCompile(`^([0-9a-fA-F]{1,16})[ \t]*(;.*)?$`)
)

// readPlain reads the message at the start of s. For an answer, method is that of its
// request; otherwise it is empty. ended says that no bytes come after s.
func readPlain(s, method string, ended bool) (m plainMessage, rest string, verdict int) {
	if method == "" {
		for strings.HasPrefix(s, crlf) {
			s = s[2:]
		}
	}
	head, rest, whole := strings.Cut(s, crlf+crlf)
	if !whole {
		return m, s, plainCut
	}
	lines := strings.Split(head, crlf)
	pattern := plainRequest
	if method != "" {
		pattern = plainStatus
	}
	first := pattern.FindStringSubmatch(lines[0])
	if first == nil || strings.ContainsAny(strings.Join(lines, ""), "\r\n") {
		return m, s, plainBad
	}
	m.start = first[1:]
	for _, line := range lines[1:] {
		f := plainField.FindStringSubmatch(line)
		if f == nil {
			return m, s, plainBad
		}
		m.names, m.values = append(m.names, strings.ToLower(f[1])), append(m.values, f[2])
	}
	return m.readBody(rest, method, ended)
}

// all returns the values of the fields with this name.
func (m *plainMessage) all(name string) (values []string) {
	for i := range m.names {
		if m.names[i] == name {
			values = append(values, m.values[i])
		}
	}
	return values
}

// list returns the elements of the fields with this name, in lower case.
func (m *plainMessage) list(name string) (elements []string) {
	for e := range strings.SplitSeq(strings.ToLower(strings.Join(m.all(name), ",")), ",") {
		elements = append(elements, strings.Trim(e, " \t"))
	}
	return elements
}

// readBody reads the body at the start of s.
func (m plainMessage) readBody(s, method string, ended bool) (plainMessage, string, int) {
	te, cl := m.all("transfer-encoding"), m.all("content-length")
	code, length, err := "", uint64(0), error(nil)
	if method != "" {
		code = m.start[1]
	}
	if len(cl) == 1 {
		length, err = strconv.ParseUint(cl[0], 10, 63)
	}
	switch {
	case err != nil, len(te) > 1 || len(cl) > 1 || len(te) > 0 && (len(cl) > 0 || !strings.EqualFold(te[0], "chunked")):
		return m, s, plainBad
	case method == "HEAD", strings.HasPrefix(code, "1"), code == "204", code == "304":
		return m, s, plainWhole
	case len(te) == 1:
		return m.readChunks(s)
	case len(cl) == 1:
		if uint64(len(s)) < length {
			return m, s, plainCut
		}
		m.body = s[:length]
		return m, s[length:], plainWhole
	case method == "":
		return m, s, plainWhole
	case !ended:
		return m, s, plainCut
	}
	m.body = s
	return m, "", plainWhole
}

var plainTrailers = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\\x00-\\x08\\x0a-\\x1f\\x7f]*(\r\n|$))+$")

// readChunks reads the chunks and the trailers at the start of s.
func (m plainMessage) readChunks(s string) (plainMessage, string, int) {
	for {
		line, rest, whole := strings.Cut(s, crlf)
		if !whole {
			return m, s, plainCut
		}
		size := plainSize.FindStringSubmatch(line)
		if size == nil || strings.ContainsAny(line, "\r\n") {
			return m, s, plainBad
		}
		n, err := strconv.ParseUint(size[1], 16, 63)
		switch {
		case err != nil:
			return m, s, plainBad
		case n == 0 && strings.HasPrefix(rest, crlf):
			return m, rest[2:], plainWhole
		case n == 0:
			trailers, after, whole := strings.Cut(rest, crlf+crlf)
			if m.trailers = trailers; !whole {
				return m, s, plainCut
			}
			if !plainTrailers.MatchString(trailers) {
				return m, s, plainBad
			}
			return m, after, plainWhole
		case uint64(len(rest)) < n+2:
			return m, s, plainCut
		case rest[n:n+2] != crlf:
			return m, s, plainBad
		}
		m.body += rest[:n]
		s = rest[n+2:]
	}
}

// plainOwn are the fields of a request that lb writes itself, or ends.
var plainOwn = []string{
	"host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "content-length", "upgrade",
	"http2-settings", "via", "expect", "max-forwards", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded",
}

var plainName = regexp.MustCompile(`^x-[a-z]$`)

// becomes reports why a backend's request out may not be what lb made of the client's
// request m, or "".
func (m *plainMessage) becomes(out *plainMessage) string {
	host, path := strings.Join(m.all("host"), ","), m.start[1]
	if at := strings.Index(path, "://"); at > 0 && path[0] != '/' {
		host, path = path[at+3:], ""
		if at := strings.IndexAny(host, "/?"); at >= 0 {
			host, path = host[:at], host[at:]
		}
		switch {
		case path == "" && m.start[0] == "OPTIONS":
			path = "*"
		case path == "" || path[0] == '?':
			path = "/" + path
		}
	}
	if host == "" && m.start[2] == "HTTP/1.0" {
		host = strings.Join(out.all("host"), ",") // lb's choice
	}
	switch {
	case out.start[0] != m.start[0]:
		return "another method"
	case out.start[1] != path:
		return "another path than " + path
	case strings.Join(out.all("host"), ",") != host:
		return "another host than " + host
	case out.body != m.body:
		return "another body than " + m.body
	}
	hops := m.list("connection")
	k := 0 // the next field of m that may be in out
	for i, name := range out.names {
		if slices.Contains(plainOwn, name) {
			continue
		}
		if slices.Contains(hops, name) {
			return name + ", which is nominated"
		}
		for k < len(m.names) && (m.names[k] != name || m.values[k] != out.values[i]) {
			if plainName.MatchString(m.names[k]) && !slices.Contains(hops, m.names[k]) {
				return "no field " + m.names[k]
			}
			k++
		}
		if k++; k > len(m.names) {
			return "another field " + name
		}
	}
	for ; k < len(m.names); k++ {
		if plainName.MatchString(m.names[k]) && !slices.Contains(hops, m.names[k]) {
			return "no field " + m.names[k]
		}
	}
	return ""
}
