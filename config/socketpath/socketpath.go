// Package socketpath says where lb's unix socket for commands is.
package socketpath

import (
	"path/filepath"
	"strings"

	"lb/config"
)

const (
	socketName = "lb.sock"
	socketRoot = "/run/" + socketName
	socketUnit = "/run/lb/" + socketName // of packaging/lb.service, whose pid file is given by a flag
)

// Primary returns the path of the unix socket for commands, or "" if there is
// none. If the configuration does not name it, it is beside the PID file, in
// $XDG_RUNTIME_DIR, or for root in /run. getenv is os.Getenv; root reports whether
// the process is root's.
func Primary(c *config.Config, getenv func(string) string, root bool) string {
	if paths := places(c, getenv, root); len(paths) > 0 {
		return paths[0]
	}
	return ""
}

// All returns where a command may find the socket, the likeliest place
// first; a shell and a service have different environments. If the configuration
// names a place, there is no other, so that a command does not reach some other lb.
// For config.SocketOff there is none.
func All(c *config.Config, getenv func(string) string, root bool) []string {
	paths := places(c, getenv, root)
	if c.Admin.Socket == "" && c.PIDFile == "" {
		paths = append(paths, socketUnit)
	}
	return paths
}

// places returns the possible places, the preferred one first.
func places(c *config.Config, getenv func(string) string, root bool) (paths []string) {
	switch {
	case c.Admin.Socket == config.SocketOff:
		return nil
	case c.Admin.Socket != "":
		return []string{c.Admin.Socket}
	case c.PIDFile != "":
		return []string{strings.TrimSuffix(c.PIDFile, ".pid") + ".sock"}
	}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		paths = append(paths, filepath.Join(dir, socketName))
	}
	if root {
		paths = append(paths, socketRoot)
	}
	return paths
}
