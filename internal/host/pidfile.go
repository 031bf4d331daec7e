package host

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// written has the fs.FileInfo of each PID file that this process has written, by path.
var written sync.Map

// WritePID writes the number of this process to the file at path, or to none if path is
// "". A reader sees the old number or the new one, never a part.
func WritePID(path string) error {
	if path == "" {
		return nil
	}
	if err := replaceFile(path, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	if info, err := os.Stat(path); err == nil {
		written.Store(path, info)
	}
	return nil
}

// CheckPID returns the error that WritePID would return, as far as can be seen without
// changing the file, which may be that of another lb.
func CheckPID(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err == nil {
		os.Remove(f.Name())
	} else if f, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return f.Close()
}

// replaceFile puts a file with text in the place of path. It writes to the file itself
// if that is no plain file, such as /dev/null, or if no other file can be made in its
// directory.
func replaceFile(path, text string) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return os.WriteFile(path, []byte(text), 0o644) // its error names path
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// RemovePID removes the file at path, unless it is that of another process by now. "" is
// no file. The number alone does not tell: in another container it may be the same.
func RemovePID(path string) {
	ours, ok := written.LoadAndDelete(path)
	if !ok {
		return
	}
	info, err := os.Stat(path)
	if err != nil || !os.SameFile(info, ours.(fs.FileInfo)) {
		return
	}
	b, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(os.Getpid()) {
		os.Remove(path)
	}
}
