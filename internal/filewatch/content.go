package filewatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Content is what a file held at one moment. Two that are equal are of one file, which
// was not written in between.
type Content struct {
	Hash  string // of the bytes
	Whole bool   // no process had the file open for writing; false if the system does not say

	empty bool   // no byte but blanks
	file  string // which file the path led to
	print string // see fingerprint
}

var (
	// ErrWriting is the cause of an error of Look: what is there may be half of a file.
	ErrWriting = errors.New("a process still has it open for writing")
	// ErrEmpty is the cause of an error for Options.Refused.
	ErrEmpty = errors.New("it is empty")
	// ErrNoFile is the cause of an error of Look: there is nothing that can be read twice.
	ErrNoFile = errors.New("it is a pipe or a device")
)

// Look reads the file at path. It never waits for a process. An error is an
// *fs.PathError.
func Look(path string) (Content, error) {
	_, c, err := Read(path)
	return c, err
}

// Read is Look, and returns the bytes as well.
func Read(path string) (data []byte, c Content, err error) {
	// Without O_NONBLOCK, a pipe that took the file's place would be waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, c, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() { // reading a directory has an error of its own
		return nil, c, &fs.PathError{Op: "read", Path: path, Err: ErrNoFile}
	}
	switch writer(f) {
	case open:
		return nil, c, &fs.PathError{Op: "read", Path: path, Err: ErrWriting}
	case closed: // and kept out until f is closed
		c.Whole = true
	}
	if data, err = io.ReadAll(f); err != nil {
		return nil, Content{}, err
	}
	sum := sha256.Sum256(data)
	c.Hash, c.empty = hex.EncodeToString(sum[:]), len(bytes.TrimSpace(data)) == 0
	c.file, c.print = identity(info), fingerprint(info)
	return data, c, nil
}

// IsFile reports whether path leads to something that can be read again and again, or to
// nothing at the moment.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular() || info.IsDir()
}

// writing is what is known about processes that have a file open for writing.
type writing int

const (
	unknown writing = iota // the system does not say
	open                   // there is one
	closed                 // there is none
)

// fingerprint changes whenever the file is likely to have changed.
func fingerprint(info fs.FileInfo) string {
	return fmt.Sprint(info.Size(), " ", info.ModTime().UnixNano(), " ", info.Mode(), " ", identity(info))
}

// identity returns a text that is the same for one file under all of its names.
func identity(info fs.FileInfo) string {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(sys.Dev, " ", sys.Ino)
	}
	return ""
}

// printOf returns the fingerprint of the file at path, or "" if there is none.
func printOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fingerprint(info)
}
