//go:build darwin || freebsd

package listen

import "golang.org/x/sys/unix"

// dup2 makes to, which is open, another descriptor of the file of from, closed on exec.
// The caller holds syscall.ForkLock.
func dup2(from, to int) error {
	err := unix.Dup2(from, to)
	unix.CloseOnExec(to)
	return err
}
