package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long processes have to end by themselves.
const stopTimeout = 3 * time.Second

// house starts processes and leaves none behind: each is the head of a process
// group, which is killed when its time is over, and is told to end should this
// process die first. One thread starts them all and lives as long as the
// house: what a child inherits, its CPUs and the signal at the parent's death,
// belongs to the thread that starts it.
type house struct {
	dir    string // for files of the children
	starts chan func()
	ended  chan struct{} // closed with the starting thread

	mu       sync.Mutex
	children []*child
}

// child is a process that was started.
type child struct {
	name string
	log  string // file with what it says
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// newHouse returns a house with a directory of its own.
func newHouse() (*house, error) {
	dir, err := os.MkdirTemp("", "lb-compare-")
	if err != nil {
		return nil, err
	}
	// nginx answers as another user when root starts it, and its directories are in here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	h := &house{dir: dir, starts: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		runtime.LockOSThread() // never unlocked: a thread that was pinned is of no use to others
		for start := range h.starts {
			start()
		}
	}()
	return h, nil
}

// close ends all children and removes the directory.
func (h *house) close() {
	h.stop(h.children)
	close(h.starts)
	<-h.ended
	os.RemoveAll(h.dir)
}

// launch starts cmd on cpus.
func (h *house) launch(cmd *exec.Cmd, cpus []int) error {
	cmd.SysProcAttr = attributes()
	result := make(chan error)
	h.starts <- func() {
		err := pin(cpus)
		if err == nil {
			err = cmd.Start()
		}
		result <- err
	}
	return <-result
}

// start runs a process until it is stopped. What it says goes to a file.
func (h *house) start(name string, cpus []int, argv ...string) (*child, error) {
	c := &child{name: name, log: filepath.Join(h.dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.Command(argv[0], argv[1:]...)
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = h.dir, log, log
	if err := h.launch(c.cmd, cpus); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		defer close(c.done)
		c.cmd.Wait()
		c.killGroup() // what the child has started and left; later its number may be another's
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.children = append(h.children, c)
	return c, nil
}

// stop ends children: a word first, then by force, whole groups.
func (h *house) stop(children []*child) {
	for _, c := range children {
		c.cmd.Process.Signal(syscall.SIGTERM) // does nothing to one that was waited for
	}
	patience := time.After(stopTimeout)
	for _, c := range children {
		select {
		case <-c.done:
		case <-patience:
			patience = time.After(0) // for the others, too
			c.cmd.Process.Kill()
			<-c.done
		}
	}
}

// killGroup kills what is left of the process group of c.
func (c *child) killGroup() { syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }

// said returns the end of what c has said, for an error.
func (c *child) said() string {
	b, _ := os.ReadFile(c.log)
	return string(bytes.TrimSpace(b[max(0, len(b)-1000):]))
}

// output runs a process to its end and returns what it writes. When ctx ends
// first, so does the process.
func (h *house) output(ctx context.Context, cpus []int, stdin io.Reader, argv ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := h.launch(cmd, cpus)
	if err == nil {
		err = cmd.Wait()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	return stdout.Bytes(), nil
}
