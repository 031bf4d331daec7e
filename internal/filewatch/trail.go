package filewatch

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// linksMax is how many links are followed, as the kernel does.
const linksMax = 40

// trail returns the entries that decide which file an absolute path leads to, which are
// the links on the way and the file, and the directories that these are in.
func trail(path string) (entries, dirs []string) {
	rest := strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		link := err == nil && info.Mode()&fs.ModeSymlink != 0
		if link || err != nil || len(rest) == 0 {
			entries = append(entries, next)
			if !slices.Contains(dirs, at) {
				dirs = append(dirs, at)
			}
		}
		target := ""
		if link {
			target, err = os.Readlink(next)
			links++
		}
		if err != nil || links > linksMax {
			break
		}
		if !link {
			at = next
			continue
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(strings.Trim(filepath.Clean(target), "/"), "/"), rest...)
	}
	return entries, dirs
}
