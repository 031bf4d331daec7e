//go:build !linux

package host

// PortHolder returns "": only Linux tells which process listens on a port.
func PortHolder(int) string { return "" }

// SocketHolder returns "": only Linux tells which process listens on a unix socket.
func SocketHolder(string) string { return "" }
