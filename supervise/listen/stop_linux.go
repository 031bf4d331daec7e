package listen

import (
	"os"

	"golang.org/x/sys/unix"
)

// stopQueueing has the system ignore who wants to connect to the listening socket f
// from now on, as if the packet were lost: it comes again a second later, and then
// finds the socket that serves the address then, or none. Handshakes that have
// begun end well. It is for all who hold the socket and cannot be taken back.
func stopQueueing(f *os.File) error {
	const flags, syn, ack = 13, 0x02, 0x10 // offset in the header of TCP, RFC 9293 section 3.1
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	err := unix.SetsockoptSockFprog(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
}
