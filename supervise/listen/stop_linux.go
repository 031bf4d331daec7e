package listen

import (
	"os"

	"golang.org/x/sys/unix"
)

// stopQueueing has the system drop the packets of clients that want to connect to the
// listening socket f. A client sends its packet again a second later, and reaches the
// socket that serves the address by then, or none. Handshakes that have begun end well.
// It goes for all processes that hold the socket and cannot be undone.
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
