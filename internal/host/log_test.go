package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFormats: JSON shows values as text does.
func TestFormats(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, nil, LogAuto, "info")
	with := l.With("worker", 1)
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	with.Warn("said", "after", 30*time.Second, "address", addr, "cause", errors.New("it \"broke\"\n"))
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Fatalf("%q: %v", b.String(), err)
	}
	delete(got, "time")
	if text := fmt.Sprint(got); text != "map[address:127.0.0.1:80 after:30s cause:it \"broke\"\n level:WARN msg:said worker:1]" {
		t.Error(text)
	}
	b.Reset()
	l.Set(LogText, "info")
	with.Warn("said", "after", 30*time.Second)
	if !strings.HasSuffix(b.String(), " level=WARN msg=said worker=1 after=30s\n") {
		t.Errorf("as text: %s", b.String())
	}
}

// TestLevel: it holds for every log that was made of the first.
func TestLevel(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, nil, LogText, "warn")
	with := l.With("worker", 1)
	with.Info("no")
	l.SetLevel("debug")
	with.Debug("yes")
	if l.Level() != "debug" || strings.Contains(b.String(), "no") || !strings.Contains(b.String(), "yes") {
		t.Errorf("level %s: %s", l.Level(), b.String())
	}
	if l.SetLevel("nonsense"); l.Level() != "info" {
		t.Errorf("level %s", l.Level())
	}
}

// TestJournal: lines have a priority if the stream is the one of journald, in either format.
func TestJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, _ := f.Stat()
	stat := info.Sys().(*syscall.Stat_t)
	for named, want := range map[string][]string{
		fmt.Sprintf("%d:%d", uint64(stat.Dev), uint64(stat.Ino)):   {"<7>time=", "<6>time=", `<4>{"time":`, `<3>{"time":`},
		fmt.Sprintf("%d:%d", uint64(stat.Dev), uint64(stat.Ino)+1): {"time=", "time=", `{"time":`, `{"time":`},
		"": {"time=", "time=", `{"time":`, `{"time":`},
	} {
		t.Setenv("JOURNAL_STREAM", named)
		var b bytes.Buffer
		l := NewLog(&b, f, LogText, "debug")
		l.Debug("a")
		l.Info("b")
		l.Set(LogJSON, "debug")
		l.Warn("c")
		l.Error("d")
		for i, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
			if !strings.HasPrefix(line, want[i]) {
				t.Errorf("%s: line %d is %s", named, i, line)
			}
		}
	}
}
