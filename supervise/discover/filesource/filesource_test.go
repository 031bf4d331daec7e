package filesource

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/internal/testkit"
	"lb/supervise/discover"
)

var _ discover.Source = (*Source)(nil)

// run runs a source of the file at path, and returns what it reports: the backends in order,
// with their weights, or "error: " and why there are none.
func run(t *testing.T, path string, again time.Duration) <-chan string {
	t.Helper()
	s := New(discovery.URL{Path: path}, slog.New(slog.DiscardHandler))
	s.again = again
	ctx, cancel := context.WithCancel(context.Background())
	reports, ended := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, func(list []config.Backend, err error) {
			text := fmt.Sprintf("error: %v", err)
			if err == nil {
				text = ""
				for _, b := range list {
					text += fmt.Sprintf("%s*%d ", b, b.Weight)
				}
			}
			select {
			case reports <- text:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Wait(t, ended, "the end of Run")
	})
	return reports
}

// expect takes the next report.
func expect(t *testing.T, reports <-chan string, want string) {
	t.Helper()
	if got := testkit.Wait(t, reports, "a report"); got != want && !(strings.HasPrefix(want, "error: ") && strings.Contains(got, want[7:]) && got[:7] == want[:7]) {
		t.Fatalf("reported %q, want %q", got, want)
	}
}

const one, two = `[{"host":"10.0.0.1","port":80}]`, "[\n{\"host\":\"10.0.0.1\",\"port\":80},\n{\"address\":\"web.test:81\",\"weight\":3}\n]\n"

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.json")
	testkit.WriteFile(t, path, one)
	reports := run(t, path, time.Hour)
	expect(t, reports, "10.0.0.1:80*1 ")
	testkit.SwapFile(t, path, two)
	expect(t, reports, "10.0.0.1:80*1 web.test:81*3 ")
	testkit.SwapFile(t, path, strings.Replace(two, "81", "0", 1))
	expect(t, reports, `error: web.json:3:12: [1].address: "0" is not a port; use 1 to 65535`)
	testkit.SwapFile(t, path, "[{}, {}, {}]")
	expect(t, reports, "error: (and 2 more mistakes)")
	testkit.SwapFile(t, path, two)
	expect(t, reports, "10.0.0.1:80*1 web.test:81*3 ")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect(t, reports, "error: web.json: there is no such file; write it, with [] for no backend")
	testkit.SwapFile(t, path, one)
	expect(t, reports, "10.0.0.1:80*1 ")
	testkit.SwapFile(t, path, "")
	expect(t, reports, "error: it is empty; write [] for no backend")
	testkit.SwapFile(t, path, "[]")
	expect(t, reports, "")
}

// A file that is missing at first is taken up when it comes, in whatever folder.
func TestFileComesLater(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "later")
	reports := run(t, filepath.Join(folder, "web.json"), time.Hour)
	expect(t, reports, "error: there is no such file")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	testkit.SwapFile(t, filepath.Join(folder, "web.json"), one)
	expect(t, reports, "10.0.0.1:80*1 ")
}

// An empty list is read and reported again, because only a second one counts.
func TestEmptyAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.json")
	testkit.WriteFile(t, path, " [ ] ")
	reports := run(t, path, time.Millisecond)
	for range 3 {
		expect(t, reports, "")
	}
	testkit.SwapFile(t, path, one)
	for got := range reports {
		if got != "" {
			if got != "10.0.0.1:80*1 " {
				t.Errorf("reported %q", got)
			}
			return
		}
	}
}

// A file that is written in steps is one report: no half of it is read.
func TestHalfWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.json")
	testkit.WriteFile(t, path, one)
	reports := run(t, path, time.Hour)
	expect(t, reports, "10.0.0.1:80*1 ")
	writeInSteps(t, path, strings.SplitAfter(two, "80"))
	expect(t, reports, "10.0.0.1:80*1 web.test:81*3 ")
}

func writeInSteps(t *testing.T, path string, parts []string) {
	t.Helper()
	syscall.ForkLock.RLock() // see testkit.WriteFile
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if _, err := f.WriteString(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Run ends while a report is being taken, and leaves nothing behind.
func TestEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.json")
	testkit.WriteFile(t, path, one)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		New(discovery.URL{Path: path}, slog.New(slog.DiscardHandler)).Run(ctx, func([]config.Backend, error) { cancel() })
	}()
	testkit.Wait(t, ended, "the end of Run")
}
