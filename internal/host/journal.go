package host

import (
	"fmt"
	"os"
	"syscall"
)

// isJournal reports whether f is the stream to journald that systemd has named in
// JOURNAL_STREAM, as device and inode; see systemd.exec(5).
func isJournal(f *os.File, named string) bool {
	info, err := f.Stat()
	if err != nil || named == "" {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", uint64(stat.Dev), uint64(stat.Ino)) == named
}
