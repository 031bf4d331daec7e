package certs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Fault is what is wrong with a file that the configuration names.
type Fault struct {
	Key  string // of lb.toml, such as "tls.cert"
	File string // path
	What string
	Mend string // what to do about it; "" if What says it
}

// Error returns one line.
func (f *Fault) Error() string {
	text := fmt.Sprintf("%s: %s %s", f.Key, f.File, f.What)
	if f.Mend != "" {
		text += "; " + f.Mend
	}
	return text
}

// file is a file of the configuration.
type file struct {
	key  string // of lb.toml
	path string
}

func (f file) fault(what, mend string) *Fault { return &Fault{f.key, f.path, what, mend} }

// fileBytesMax is the largest file that is read.
const fileBytesMax = 16 << 20

// read returns the content of f, and its mode.
func (f file) read() (data []byte, mode fs.FileMode, err error) {
	// Without O_NONBLOCK, a pipe would be waited for.
	in, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, f.fault("does not exist", "")
	case errors.Is(err, fs.ErrPermission):
		return nil, 0, f.fault("is not readable by user "+userName(), "give it, and the folders above it, to that user or to a group of it")
	case err != nil:
		return nil, 0, f.fault("cannot be read: "+causeOf(err), "")
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return nil, 0, f.fault("cannot be read: "+causeOf(err), "")
	case !info.Mode().IsRegular():
		return nil, 0, f.fault("is no regular file", "")
	case info.Size() > fileBytesMax:
		return nil, 0, f.fault(fmt.Sprintf("is larger than %d MiB", fileBytesMax>>20), "")
	}
	if data, err = io.ReadAll(io.LimitReader(in, fileBytesMax)); err != nil {
		return nil, 0, f.fault("cannot be read: "+causeOf(err), "")
	}
	return data, info.Mode(), nil
}

// print returns a text that changes whenever f is likely to have changed.
func (f file) print() string {
	if f.path == "" {
		return ""
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return causeOf(err)
	}
	text := fmt.Sprint(info.Size(), " ", info.ModTime().UnixNano(), " ", info.Mode())
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprint(" ", sys.Dev, " ", sys.Ino)
	}
	return text
}

// causeOf returns err without what is said anyway.
func causeOf(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// userName returns the name of the user of this process.
func userName() string {
	id := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
