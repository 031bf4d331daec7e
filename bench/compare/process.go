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

// stopTimeout is the time that processes have to end after SIGTERM.
const stopTimeout = 3 * time.Second

// launcher starts processes and leaves none behind. Each process leads a process
// group, which is killed at its end, and gets a SIGTERM if this process dies first.
// One thread starts all of them and lives as long as the launcher, because a child
// inherits its CPUs from the thread that starts it, and gets the signal at the end
// of that thread.
type launcher struct {
	dir    string // for the files of the children
	starts chan func()
	ended  chan struct{} // closed at the end of the starting thread

	mu       sync.Mutex
	children []*child
}

// child is a process that was started.
type child struct {
	name string
	log  string // file with its output
	cmd  *exec.Cmd
	done chan struct{} // closed at its end
}

// newLauncher returns a launcher with a directory of its own.
func newLauncher() (*launcher, error) {
	dir, err := os.MkdirTemp("", "lb-compare-")
	if err != nil {
		return nil, err
	}
	// nginx runs as another user if root starts it, and its directories are in here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	h := &launcher{dir: dir, starts: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		runtime.LockOSThread() // never unlocked: other goroutines must not run on a pinned thread
		for start := range h.starts {
			start()
		}
	}()
	return h, nil
}

// close ends all children and removes the directory.
func (h *launcher) close() {
	h.stop(h.children)
	close(h.starts)
	<-h.ended
	os.RemoveAll(h.dir)
}

// launch starts cmd on cpus.
func (h *launcher) launch(cmd *exec.Cmd, cpus []int) error {
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

// start starts a process that runs until stop. Its output goes to a file.
func (h *launcher) start(name string, cpus []int, argv ...string) (*child, error) {
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
		c.killGroup() // processes that the child left; later the number may belong to another group
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.children = append(h.children, c)
	return c, nil
}

// stop ends children: with SIGTERM, and after stopTimeout by force.
func (h *launcher) stop(children []*child) {
	for _, c := range children {
		c.cmd.Process.Signal(syscall.SIGTERM) // does nothing to a child that has ended
	}
	patience := time.After(stopTimeout)
	for _, c := range children {
		select {
		case <-c.done:
		case <-patience:
			patience = time.After(0) // no time for the others either
			c.cmd.Process.Kill()
			<-c.done
		}
	}
}

// killGroup kills the rest of the process group of c.
func (c *child) killGroup() { syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }

// said returns the end of the output of c, for an error.
func (c *child) said() string {
	b, _ := os.ReadFile(c.log)
	return string(bytes.TrimSpace(b[max(0, len(b)-1000):]))
}

// output runs a process to its end and returns its stdout. The end of ctx ends the
// process.
func (h *launcher) output(ctx context.Context, cpus []int, stdin io.Reader, argv ...string) ([]byte, error) {
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
