// Package leaving is how a backend says in an answer that it wants no new clients, because it
// is about to end. What follows from that is upstream's.
package leaving

import (
	"lb/board"
	"lb/httpparse"
	"lb/httpparse/list"
)

// Of returns how the final response m, parsed from b, asks for no new clients: ReasonNone if
// it does not. header is the name of the pool's drain_header, or ""; that field is between
// the backend and lb, and is not passed on. spoiled says that the same request has brought a
// bad answer elsewhere before: then a 503 may be the request's doing.
func Of(m *httpparse.Response, b []byte, header string, spoiled bool) board.Reason {
	if header != "" {
		if v, there := m.Lookup(b, header); there {
			m.Hide(b, header)
			if wants(v) {
				return board.ReasonDrainField
			}
		}
	}
	if m.Code == 503 && !spoiled && m.HasToken(b, httpparse.Connection, "close") {
		return board.ReasonClosing503
	}
	return board.ReasonNone
}

// wants reports whether the value of drain_header is a wish: any value but one that says no.
func wants(v []byte) bool {
	if len(v) == 0 {
		return false
	}
	for _, no := range [...]string{"0", "no", "off", "false"} {
		if list.SameFold(v, no) {
			return false
		}
	}
	return true
}
