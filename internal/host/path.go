package host

import (
	"os"
	"os/exec"
	"path/filepath"
)

// StartPath returns the path that this process was started from, or "" if that cannot
// be found out. After an update of the package the new file is at that path. Call it
// when the process begins.
func StartPath() string {
	named, err := exec.LookPath(os.Args[0])
	if err == nil {
		named, err = filepath.Abs(named)
	}
	if err != nil {
		named = ""
	}
	exe, err := os.Executable() // on Linux without symbolic links; it needs /proc there
	if err == nil && !sameFile(named, exe) {
		return exe // the parent process is free to give any name
	}
	return named
}

func sameFile(a, b string) bool {
	infoA, err := os.Stat(a)
	if err != nil {
		return false
	}
	infoB, err := os.Stat(b)
	return err == nil && os.SameFile(infoA, infoB)
}
