package listen

import "golang.org/x/sys/unix"

// dup2 makes to, which is open, another descriptor of the file of from, closed on exec.
func dup2(from, to int) error { return unix.Dup3(from, to, unix.O_CLOEXEC) }
