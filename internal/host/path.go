package host

import (
	"os"
	"os/exec"
	"path/filepath"
)

// StartPath returns the path that this process was started from, which may lead
// to another file later: to the new one after an update of the package. It has to
// be called when the process begins. "" when it cannot be told.
func StartPath() string {
	exe, err := os.Executable() // on Linux without symbolic links
	if err != nil {
		return ""
	}
	named, err := exec.LookPath(os.Args[0])
	if err == nil {
		named, err = filepath.Abs(named)
	}
	if err != nil || !sameFile(named, exe) {
		return exe // who starts a process can call it as he likes
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
