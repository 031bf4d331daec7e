package rest

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// audit logs that a client has changed something, or was not able to: who, what, and what
// came of it.
func (s *Server) audit(c *call, err error, args ...any) {
	outcome := "done"
	switch {
	case err != nil:
		outcome = err.Error()
	case len(c.e.Lines) > 0:
		outcome = "begun"
	}
	line := append([]any{"what", c.Method + " " + c.URL.Path, "by", peerOf(c.Request), "outcome", outcome}, args...)
	s.o.Log.Info("API: change", line...)
}

// peerKey is the key of the client in the context of a request.
type peerKey struct{}

// ConnContext notes in the context who the client at conn is. It is for http.Server.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, conn)
}

// peerOf names the client: its address, or user and process on a unix socket.
func peerOf(r *http.Request) string {
	conn, ok := r.Context().Value(peerKey{}).(*net.UnixConn)
	if !ok {
		return r.RemoteAddr
	}
	uid, pid, known := credentials(conn)
	switch {
	case !known:
		return "socket"
	case pid == 0:
		return fmt.Sprintf("uid %d", uid)
	}
	return fmt.Sprintf("uid %d, pid %d", uid, pid)
}
