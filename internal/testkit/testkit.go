// Package testkit holds the helpers that tests of several packages share: waiting,
// a log that can be read while it is written, files, ports, processes, and a fake of
// what an operator's commands do. It does not know what is tested, and nothing but tests
// imports it.
package testkit

import (
	"bytes"
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for what has to come. It is that long because
// it matters only when a test fails, and a busy machine takes its time.
const Patience = time.Minute

// Long skips the test under -short. It is for tests that take more than a second or
// two, so that `go test -short ./...` stays quick.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: skipped because of -short")
	}
}

// Wait returns what comes from c, or its zero value once c is closed. It fails the
// test after Patience; what names the thing awaited.
func Wait[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(Patience):
		t.Fatalf("waited %v for %s", Patience, what)
	}
	return v
}

// Until waits for ok to return true, which it calls every 5 ms. It fails the test
// after Patience; what names the thing awaited.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !Happens(ok) {
		t.Fatalf("waited %v for %s", Patience, what)
	}
}

// Happens is Until for a goroutine other than the test's, which must not end the
// test: it returns false if ok was not true within Patience.
func Happens(ok func() bool) bool {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(Patience)
	for !ok() {
		select {
		case <-look.C:
		case <-late:
			return false
		}
	}
	return true
}

// WriteFile writes text to the file at path, which only its owner may read.
func WriteFile(t testing.TB, path, text string) {
	t.Helper()
	WriteFileMode(t, path, text, 0o600)
}

// WriteFileMode writes a file while no process is being forked. A child that has not called
// exec yet would still have the file open for writing: a program could not be started, and
// lb would wait for the rest of a configuration.
func WriteFileMode(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// Rename renames a file.
func Rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// SwapFile puts a new file with text in the place of the one at path.
func SwapFile(t testing.TB, path, text string) {
	t.Helper()
	WriteFile(t, path+".new", text)
	Rename(t, path+".new", path)
}

// OpenFDs returns how many descriptors this process has open, or 0 if the system does
// not list them.
func OpenFDs() int {
	names, _ := os.ReadDir("/dev/fd")
	return len(names)
}

// IsClosed reports whether c is closed. It takes a value from c if there is one.
func IsClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Panics reports whether f ends in a panic.
func Panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// Log is a buffer that any goroutine may read while others write. The zero Log is
// empty and ready.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends b and returns no error.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String returns everything written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var servingLine = regexp.MustCompile(`msg=serving address=(\S+)`)

// Serving returns the host:port of the first line in which lb says where it serves,
// or "" if there is none yet.
func (l *Log) Serving() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := servingLine.FindSubmatch(l.text.Bytes()); m != nil {
		return string(m[1])
	}
	return ""
}
