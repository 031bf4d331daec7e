package host

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// PortHolder returns which process listens on a TCP port of this machine, as in
// "process 41 (nginx)". It returns "" if no process does, or if none that this process
// may look at.
func PortHolder(port int) string {
	root := os.DirFS("/proc")
	return holder(root, listening(root, port))
}

// SocketHolder is PortHolder for the path of a unix socket, as it was bound.
func SocketHolder(path string) string {
	root := os.DirFS("/proc")
	return holder(root, listeningAt(root, path))
}

// holder returns the process that has one of the sockets, or "".
func holder(root fs.FS, inodes map[string]bool) string {
	if len(inodes) == 0 {
		return ""
	}
	processes, _ := fs.Glob(root, "[0-9]*")
	parents := map[string]string{} // of the processes that have one
	for _, dir := range processes {
		if holds(dir, inodes) {
			parents[dir] = parent(root, dir)
		}
	}
	dir := eldest(parents)
	if dir == "" {
		return ""
	}
	name, _ := fs.ReadFile(root, dir+"/comm")
	return fmt.Sprintf("process %s (%s)", dir, bytes.TrimSpace(name))
}

// eldest returns a process whose parent is not in the map, or "": a master is the one to end,
// not a worker that has its socket too. The parent of a process that has ended is "".
func eldest(parents map[string]string) string {
	for _, dir := range slices.Sorted(maps.Keys(parents)) {
		if of := parents[dir]; of != "" && parents[of] == "" {
			return dir
		}
	}
	return ""
}

// parent returns the parent of a process, or "" if the process has ended.
func parent(root fs.FS, dir string) string {
	text, _ := fs.ReadFile(root, dir+"/status")
	_, rest, _ := strings.Cut(string(text), "\nPPid:\t")
	of, _, _ := strings.Cut(rest, "\n")
	return of
}

// listenState is how /proc/net/tcp writes the state of a listening socket.
const listenState = "0A"

// listening returns the sockets that listen on port, as the links in fd directories name
// them.
func listening(root fs.FS, port int) map[string]bool {
	sockets := map[string]bool{}
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		f, err := root.Open(name)
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			field := strings.Fields(s.Text()) // sl local remote state queues timer retransmits uid timeout inode
			if len(field) < 10 || field[3] != listenState {
				continue
			}
			_, hex, _ := strings.Cut(field[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				sockets["socket:["+field[9]+"]"] = true
			}
		}
		f.Close()
	}
	return sockets
}

// acceptFlag is how /proc/net/unix writes the flags of a listening socket.
const acceptFlag = "00010000"

// listeningAt returns the unix sockets that listen at path, as the links in fd directories
// name them.
func listeningAt(root fs.FS, path string) map[string]bool {
	sockets := map[string]bool{}
	text, _ := fs.ReadFile(root, "net/unix")
	for line := range strings.Lines(string(text)) {
		field := strings.Fields(line) // num references protocol flags type state inode path
		if len(field) > 7 && field[3] == acceptFlag && strings.HasSuffix(strings.TrimSuffix(line, "\n"), " "+path) {
			sockets["socket:["+field[6]+"]"] = true
		}
	}
	return sockets
}

// holds reports whether the process with that directory in /proc has one of the sockets.
func holds(dir string, sockets map[string]bool) bool {
	path := "/proc/" + dir + "/fd"
	entries, _ := os.ReadDir(path) // of another user's process it is an error
	for _, e := range entries {
		if to, err := os.Readlink(path + "/" + e.Name()); err == nil && sockets[to] {
			return true
		}
	}
	return false
}
