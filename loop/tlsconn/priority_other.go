//go:build !linux

package tlsconn

// lowerPriority does nothing: here only processes have a priority.
func lowerPriority() {}
