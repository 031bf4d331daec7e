package admin

import (
	"fmt"
	"net"
	"time"

	"lb/internal/unixsock"
)

const (
	socketMode  = 0o600
	dialTimeout = time.Second // for the client
)

// Listen opens a socket at path, with mode 0600; see unixsock.Listen. Connections wait
// until Serve is called. An error is one line for the operator.
func (r *Runtime) Listen(path string) (*net.UnixListener, error) {
	l, err := unixsock.Listen(path, socketMode)
	if err != nil {
		return nil, fmt.Errorf("commands: cannot listen on %s: %w (set [admin] socket)", path, err)
	}
	return l, nil
}
