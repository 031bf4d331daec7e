package remote

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lb/internal/filewatch"
	"lb/internal/testkit"
	"lb/supervise/store"
)

// fake is a client whose store the test sets.
type fake struct {
	value store.Value
	err   error
	news  chan func(report func(store.Value, error))
}

func (f *fake) Read(context.Context) (store.Value, error) { return f.value, f.err }

func (f *fake) Follow(ctx context.Context, report func(store.Value, error)) {
	for {
		select {
		case do := <-f.news:
			do(report)
		case <-ctx.Done():
			return
		}
	}
}

// open returns a Store with a fake, and its copy in folder.
func open(t *testing.T, folder string) (*Store, *fake, *testkit.Log) {
	t.Helper()
	env := map[string]string{"STATE_DIRECTORY": folder}
	s, err := Open("etcd://u:hush@127.0.0.1:1/lb/config", Options{Getenv: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	f, log := &fake{news: make(chan func(func(store.Value, error)))}, &testkit.Log{}
	s.client = f
	return s, f, log
}

func (f *fake) set(text string, revision uint64) {
	f.value, f.err = store.Value{Data: []byte(text), Found: true, Revision: revision}, nil
}

func logTo(log *testkit.Log) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) }

// A copy of what was accepted, and of nothing else, serves the next start without the store.
func TestCopy(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	s, f, log := open(t, folder)
	f.set("a = 1", 7)
	if data, err := s.Load(); err != nil || string(data) != "a = 1" {
		t.Fatalf("%s, %v", data, err)
	}
	s.SetLog(logTo(log))
	s.Accepted()
	f.set("b = 2", 8)
	if _, err := s.Load(); err != nil { // and it is refused
		t.Fatal(err)
	}
	if st := s.State(); st.Revision != 7 || st.Newest != 8 || st.FromDisk || st.Fault != "" {
		t.Errorf("%+v", st)
	}
	f.err = errors.New("down")
	if _, err := s.Load(); err == nil || s.Hash() != "" {
		t.Errorf("a running lb takes the copy: %v", err)
	}
	info, err := os.Stat(s.copy)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	s, f, log = open(t, folder)
	f.err = errors.New("down")
	data, err := s.Load()
	if err != nil || string(data) != "a = 1" || s.Hash() != hashOf([]byte("a = 1")) {
		t.Fatalf("%s, %v", data, err)
	}
	s.SetLog(logTo(log))
	s.Accepted()
	if st := s.State(); !st.FromDisk || st.Revision != 0 || st.Fault == "" || !strings.Contains(log.String(), "cause=\"etcd://127.0.0.1:1/lb/config cannot be read: down\"") {
		t.Errorf("%+v\n%s", st, log)
	}
	if strings.Contains(log.String(), "hush") {
		t.Error("the log shows the password")
	}
}

func TestNoCopy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	testkit.WriteFile(t, file, "")
	for _, folder := range []string{"none", filepath.Join(file, "below")} {
		s, f, log := open(t, folder)
		f.err = errors.New("down")
		_, err := s.Load()
		if err == nil || !strings.Contains(err.Error(), "down; and no copy of it is on this machine") {
			t.Errorf("%s: %v", folder, err)
		}
		f.err = nil
		_, err = s.Load()
		if err == nil || !strings.Contains(err.Error(), "no such key; write the configuration there: etcdctl put lb/config") {
			t.Errorf("%s: %v", folder, err)
		}
		f.set("a = 1", 7)
		if _, err := s.Load(); err != nil {
			t.Error(err)
		}
		s.SetLog(logTo(log))
		s.Accepted()
		s.Accepted()
		if n := strings.Count(log.String(), "no copy of the configuration"); n != 1 {
			t.Errorf("%s: %d lines about it\n%s", folder, n, log)
		}
	}
}

// The watch reports what there is, and the log and the state what there is not, once. What is
// the same as the copy in use is in use from the store.
func TestWatch(t *testing.T) {
	folder := t.TempDir()
	s, f, _ := open(t, folder)
	f.set("a = 1", 7)
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	s.Accepted()
	s, f, log := open(t, folder)
	f.err = errors.New("down")
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	s.SetLog(logTo(log))
	s.Accepted()
	seen := make(chan string, 10)
	w := s.Watch(func(_ <-chan struct{}, n filewatch.News) { seen <- n.Hash })
	defer w.Close()
	report := func(v store.Value, err error) {
		done := make(chan struct{})
		f.news <- func(report func(store.Value, error)) { report(v, err); close(done) }
		testkit.Wait(t, done, "a report")
	}
	report(store.Value{}, errors.New("down"))
	report(store.Value{}, errors.New("down again"))
	if st := s.State(); st.Fault != "down again" || st.FaultAt.IsZero() || !st.FromDisk {
		t.Errorf("%+v", st)
	}
	report(store.Value{Data: []byte("a = 1"), Found: true, Revision: 7}, nil)
	if st := s.State(); st.Fault != "" || st.FromDisk || st.Revision != 7 || st.Answered.IsZero() {
		t.Errorf("%+v", st)
	}
	report(store.Value{}, nil)
	if st := s.State(); !strings.Contains(st.Fault, "no such key") || st.Revision != 7 {
		t.Errorf("%+v", st)
	}
	report(store.Value{Data: []byte("b = 2"), Found: true, Revision: 9}, nil)
	w.Poke()
	for _, want := range []string{"a = 1", "b = 2", "b = 2"} {
		if got := testkit.Wait(t, seen, want); got != hashOf([]byte(want)) {
			t.Errorf("%s: another hash", want)
		}
	}
	for part, want := range map[string]int{"is the copy": 1, "store fails": 1, "answers again": 2} {
		if n := strings.Count(log.String(), part); n != want {
			t.Errorf("%d lines with %q, want %d:\n%s", n, part, want, log)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"etcd://u:hush@a":             "etcd://a names no key",
		"etcd://u:hush@a/k?hush=1":    "etcd://a/k has a parameter",
		"consul://a:70000/k?token=hu": `has "70000" as a port`,
	} {
		if _, err := Open(url, Options{Getenv: func(string) string { return "" }}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "u:hush") {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
	if Shown("lb.toml") != "lb.toml" || Shown("etcd://u:hush@a/k?x") != "etcd://a/k" || Is("lb.toml") {
		t.Error("a file is a store")
	}
}
