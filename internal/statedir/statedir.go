// Package statedir says where lb keeps what it needs at its next start.
package statedir

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

// Folder returns the folder: $STATE_DIRECTORY (of systemd), for root /var/lib/lb, else
// $XDG_STATE_HOME/lb or ~/.local/state/lb; "" if there is none. As the XDG Base Directory
// Specification has it, a folder that is not absolute is ignored; in $STATE_DIRECTORY it
// means none. getenv is os.Getenv; root reports whether the process is root's.
func Folder(getenv func(string) string, root bool) (folder string) {
	first, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":")
	home := getenv("HOME")
	switch state := getenv("XDG_STATE_HOME"); {
	case first != "":
		folder = first
	case root:
		folder = "/var/lib/lb"
	case filepath.IsAbs(state):
		folder = filepath.Join(state, "lb")
	case filepath.IsAbs(home):
		folder = filepath.Join(home, ".local/state/lb")
	}
	if !filepath.IsAbs(folder) {
		return ""
	}
	return folder
}

// File returns the path of a file in the folder for one of many with the same purpose, by the
// identity of what it is about, or "" if there is no folder.
func File(getenv func(string) string, root bool, purpose, id, ext string) string {
	folder := Folder(getenv, root)
	if folder == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(folder, purpose+"-"+hex.EncodeToString(sum[:6])+ext)
}
