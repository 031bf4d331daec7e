//go:build !linux

package host

// PortHolder returns "": only Linux shows which process listens on a port.
func PortHolder(int) string { return "" }

// SocketHolder returns "": only Linux shows which process listens on a unix socket.
func SocketHolder(string) string { return "" }
