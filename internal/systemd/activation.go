package systemd

import (
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets returns the sockets that systemd has opened for this process, which are the
// caller's, and removes their variables from the environment.
func Sockets() []*os.File { return activation.Files(true) }
