package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// WritePID writes the process's number to path; "" is no file. Who reads the file
// meanwhile sees the old number or the new one.
func WritePID(path string) error {
	if path == "" {
		return nil
	}
	if err := replaceFile(path, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

// replaceFile puts a file with text in the place of path. What is no plain file,
// such as /dev/null, and a file in a directory where no other can be made, are
// written as they are.
func replaceFile(path, text string) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return os.WriteFile(path, []byte(text), 0o644) // whose error names path
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

// RemovePID removes the file at path, unless another process has put its number
// there meanwhile.
func RemovePID(path string) {
	if path == "" {
		return
	}
	b, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(os.Getpid()) {
		os.Remove(path)
	}
}
