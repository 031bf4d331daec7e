// Package host is what a process of lb needs of the machine that it runs on: its
// limits on descriptors and CPUs, the path that it was started from, its PID file
// and its log. It does not know what the process does with them.
package host
