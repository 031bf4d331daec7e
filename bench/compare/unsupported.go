//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// errLinux is the error of a run on other systems. Reports can be rendered there.
var errLinux = errors.New("needs Linux: CPU time and memory come from /proc")

func cpusAllowed() ([]int, error)      { return nil, errLinux }
func pin([]int) error                  { return errLinux }
func cpuTime(int) (int64, error)       { return 0, errLinux }
func attributes() *syscall.SysProcAttr { return nil }
func loopbackOnly(uintptr) error       { return errLinux }
func sharePort(uintptr) error          { return errLinux }
