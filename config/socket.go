package config

import "lb/config/value"

// SocketOff as Admin.Socket means that there is no socket for commands.
const SocketOff = "off"

// SocketPathMax is the length in bytes of the longest path that a unix socket can
// have on every system lb runs on.
const SocketPathMax = value.SocketPathMax

// checkAdminSocket accepts a path, "" and SocketOff.
func checkAdminSocket(s string) *value.Flaw {
	if s == "" || s == SocketOff {
		return nil
	}
	return value.CheckSocket(s)
}
