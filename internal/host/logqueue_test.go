package host

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// gate is a writer that stands still while it is shut.
type gate struct {
	testkit.Log
	shut sync.Mutex
	fail []error // of the next writes
}

func (g *gate) Write(b []byte) (int, error) {
	g.shut.Lock()
	defer g.shut.Unlock()
	if len(g.fail) > 0 {
		err := g.fail[0]
		g.fail = g.fail[1:]
		return 0, err
	}
	return g.Log.Write(b)
}

func flushed(t *testing.T, q *LogQueue) {
	t.Helper()
	if !q.Flush(testkit.Patience) {
		t.Fatal("the queue is not flushed")
	}
}

// Writing goes on while the stream stands still. A line after the kept ones says how many
// were lost.
func TestLogQueueDoesNotWait(t *testing.T) {
	var g gate
	q := NewLogQueue(&g)
	log := slog.New(slog.NewTextHandler(q, nil))
	g.shut.Lock()
	const all = 3 * logQueueMax / 100
	for i := range all {
		log.Info(fmt.Sprintf("%0100d", i))
	}
	if q.Flush(time.Millisecond) {
		t.Error("flushed, though nothing can be written")
	}
	g.shut.Unlock()
	flushed(t, q)
	text := g.String()
	kept, lost := strings.Count(text, "level=INFO"), 0
	for _, note := range regexp.MustCompile(`(?m) level=WARN msg="log lines were lost .*" lines=(\d+) mend=`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(note[1])
		lost += n
	}
	if kept == 0 || lost == 0 || kept+lost != all {
		t.Errorf("%d lines are there and %d are said to be lost, of %d; the end of the log: %s", kept, lost, all, text[max(0, len(text)-300):])
	}
	log.Info("the last")
	flushed(t, q)
	if !strings.HasSuffix(g.String(), "msg=\"the last\"\n") {
		t.Error("no line is written after that")
	}
}

// A stream that fails loses lines, and is tried again with the next one.
func TestLogQueueFails(t *testing.T) {
	g := gate{fail: []error{syscall.EAGAIN, errors.New("broken"), syscall.EPIPE}}
	q := NewLogQueue(&g)
	for i := range 4 {
		fmt.Fprintf(q, "line %d\n", i)
		flushed(t, q)
	}
	got := g.String()
	if !strings.HasPrefix(got, "line 2\ntime=") || !strings.Contains(got, " lines=2 mend=") || !strings.HasSuffix(got, "\nline 3\n") {
		t.Errorf("the log is %q; want line 2, that two were lost, and line 3", got)
	}
}

// A pipe without a reader ends no process, and one that is full holds none up.
func TestLogQueueOnPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	q := NewLogQueue(w)
	for range 64 {
		fmt.Fprintln(q, strings.Repeat("x", 8<<10))
	}
	r.Close() // the write that waits fails
	flushed(t, q)
}
