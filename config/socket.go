package config

import (
	"path/filepath"
	"strings"

	"lb/config/value"
)

// SocketOff as Admin.Socket means that there is no socket for commands.
const SocketOff = "off"

// SocketPathMax is the length in bytes of the longest path that a unix socket can
// have on every system lb runs on.
const SocketPathMax = value.SocketPathMax

const (
	socketName = "lb.sock"
	socketRoot = "/run/" + socketName
	socketUnit = "/run/lb/" + socketName // of packaging/lb.service, whose pid file is given by a flag
)

// checkAdminSocket accepts a path, "" and SocketOff.
func checkAdminSocket(s string) *value.Flaw {
	if s == "" || s == SocketOff {
		return nil
	}
	return value.CheckSocket(s)
}

// SocketPath returns the path of the unix socket for commands, or "" if there is
// none. If the configuration does not name it, it is beside the PID file, in
// $XDG_RUNTIME_DIR, or for root in /run. getenv is os.Getenv; root reports whether
// the process is root's.
func SocketPath(c *Config, getenv func(string) string, root bool) string {
	if paths := socketPlaces(c, getenv, root); len(paths) > 0 {
		return paths[0]
	}
	return ""
}

// SocketPaths returns where a command may find the socket, the likeliest place
// first; a shell and a service have different environments. If the configuration
// names a place, there is no other, so that a command does not reach some other lb.
// For SocketOff there is none.
func SocketPaths(c *Config, getenv func(string) string, root bool) []string {
	paths := socketPlaces(c, getenv, root)
	if c.Admin.Socket == "" && c.PIDFile == "" {
		paths = append(paths, socketUnit)
	}
	return paths
}

// socketPlaces returns the possible places, the preferred one first.
func socketPlaces(c *Config, getenv func(string) string, root bool) (paths []string) {
	switch {
	case c.Admin.Socket == SocketOff:
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
