package supervise

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
)

// watched is lb with a configuration file that is watched. What stands in
// the file is told by its drain timeout, in seconds.
type watched struct {
	*inside
	log testkit.Log
}

func watchedText(seconds int) string {
	return fmt.Sprintf("mode = \"mt\"\nhost = \"127.0.0.1\"\nport = 0\nworkers = 1\nlog_level = \"error\"\n"+
		"admin = { address = \"127.0.0.1:0\", socket = \"off\" }\n[timeouts]\ndrain = \"%ds\"\n", seconds)
}

// watchFile begins with the file at path.
func watchFile(t *testing.T, path string) *watched {
	t.Helper()
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	w.inside = serve(t, cfg, Options{
		Log:  NewLog(&w.log, "warn"),
		Load: func() (*config.Config, error) { return config.Load(path) },
	})
	if !w.control.Status().Config.Watching {
		t.Fatal("the file is not watched")
	}
	return w
}

func (w *watched) seconds() int { return int(w.running.View().Config.Timeouts.Drain.Seconds()) }

// wantTaken waits for the file that says seconds, as configuration of a number:
// not one reload more came before it.
func (w *watched) wantTaken(t *testing.T, seconds int, number uint64) {
	t.Helper()
	testkit.Until(t, fmt.Sprintf("the file with %d", seconds), func() bool { return w.seconds() == seconds })
	if got := w.running.View().Number; got != number {
		t.Errorf("configuration %d, want %d: one reload for each change\n%s", got, number, w.log.String())
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// swapFile puts a new file with text in the place of the one at path.
func swapFile(t *testing.T, path, text string) {
	t.Helper()
	testkit.WriteFile(t, path+".new", text)
	rename(t, path+".new", path)
}

// Whatever way the file is written in, it is taken up, once.
func TestWatchWays(t *testing.T) {
	ways := map[string]func(t *testing.T, path, text string){
		"write in place":    func(t *testing.T, path, text string) { testkit.WriteFile(t, path, text) },
		"rename into place": swapFile,
		"truncate, and write in two steps": func(t *testing.T, path, text string) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			half := strings.LastIndex(text, "\"") // within quotes, for a machine so slow that it is read
			for _, part := range []string{text[:half], text[half:]} {
				if _, err := f.WriteString(part); err != nil {
					t.Fatal(err)
				}
				f.Sync()
			}
		},
		"an editor's backup, and a new file": func(t *testing.T, path, text string) {
			rename(t, path, path+"~")
			testkit.WriteFile(t, path, text)
			os.Remove(path + "~")
		},
		"remove, and write anew": func(t *testing.T, path, text string) {
			os.Remove(path)
			testkit.WriteFile(t, path, text)
		},
		"replace the directory": func(t *testing.T, path, text string) {
			dir := filepath.Dir(path)
			rename(t, dir, dir+".old")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			testkit.WriteFile(t, path, text)
			os.RemoveAll(dir + ".old")
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "etc")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "lb.toml")
			testkit.WriteFile(t, path, watchedText(1))
			w := watchFile(t, path)
			way(t, path, watchedText(2))
			w.wantTaken(t, 2, 2)
			way(t, path, watchedText(3))
			w.wantTaken(t, 3, 3)
		})
	}
}

// A ConfigMap is a directory of links through ..data, a link that is replaced.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish := func(version string, seconds int) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		testkit.WriteFile(t, filepath.Join(dir, version, "lb.toml"), watchedText(seconds))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	}
	publish("..1", 1)
	path := filepath.Join(dir, "lb.toml")
	if err := os.Symlink(filepath.Join("..data", "lb.toml"), path); err != nil {
		t.Fatal(err)
	}
	w := watchFile(t, path)
	for n := 2; n <= 4; n++ {
		publish(fmt.Sprint("..", n), n)
		os.RemoveAll(filepath.Join(dir, fmt.Sprint("..", n-1)))
		w.wantTaken(t, n, uint64(n))
	}
}

// The link may be in one directory and the file in another, which is written to.
func TestWatchBehindLink(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	real, path := filepath.Join(other, "real.toml"), filepath.Join(dir, "lb.toml")
	testkit.WriteFile(t, real, watchedText(1))
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	w := watchFile(t, path)
	testkit.WriteFile(t, real, watchedText(2))
	w.wantTaken(t, 2, 2)
	swapFile(t, path, watchedText(3)) // a file in the place of the link
	w.wantTaken(t, 3, 3)
}

// reader is a watcher alone, and what it brings.
type reader struct {
	*watcher
	hashes chan string
	log    testkit.Log
}

// read begins to watch path, which has text in it.
func read(t *testing.T, path, text string) *reader {
	t.Helper()
	r := &reader{hashes: make(chan string, 64)}
	r.watcher = startWatch(path, slog.New(slog.NewTextHandler(&r.log, nil)), func(_ <-chan struct{}, hash string) { r.hashes <- hash })
	t.Cleanup(r.close)
	r.want(t, text)
	return r
}

// want waits for text to be brought, and wants nothing else before it.
func (r *reader) want(t *testing.T, text string) {
	t.Helper()
	select {
	case hash := <-r.hashes:
		if hash != hashOf([]byte(text)) {
			t.Errorf("another content was brought than %q", text)
		}
	case <-time.After(testkit.Patience):
		t.Fatalf("waited %v for %q to be brought", testkit.Patience, text)
	}
}

// An empty file, and none, are what stands between two contents. The log is told
// once of each.
func TestWatchBetween(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	told := func(what string, times int) {
		t.Helper()
		testkit.Until(t, "a warning: "+what, func() bool { return strings.Count(r.log.String(), what) >= times })
	}
	testkit.WriteFile(t, path, " \n")
	told("it is empty", 1)
	os.Remove(path)
	told("no such file", 1)
	swapFile(t, path, "b") // it is never empty
	r.want(t, "b")
	testkit.WriteFile(t, path, "")
	told("it is empty", 2)
	testkit.WriteFile(t, path, "\n")
	os.Chmod(path, 0o640)
	swapFile(t, path, "c")
	r.want(t, "c")
	if n := strings.Count(r.log.String(), "\n"); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, r.log.String())
	}
}

// Files beside it do not have it read, however often they are written, nor do
// they put off its reading.
func TestWatchOthersBeside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !closed(end) {
			os.WriteFile(path+".log", []byte("x"), 0o600)
		}
	}()
	for _, text := range []string{"b", "c"} {
		testkit.WriteFile(t, path, text)
		r.want(t, text)
	}
	close(end)
	<-ended
	if len(r.hashes) != 0 {
		t.Error("it was read once more")
	}
}

// A file that is never left alone is read all the same.
func TestWatchNeverSettled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	for i := 0; len(r.hashes) == 0; i++ {
		swapFile(t, path, fmt.Sprint("x", i)) // it is never empty
	}
}

// The desk does not try again what it has tried, and waits for nobody amid an
// upgrade.
func TestFileChanged(t *testing.T) {
	loads := 0
	s := &server{desk: newDesk(), log: slog.New(slog.DiscardHandler), seen: hashOf([]byte("tried"))}
	s.o.Load = func() (*config.Config, error) { loads++; return nil, os.ErrNotExist }
	go func() {
		for j := range s.desk.work {
			j.do()
			close(j.done)
		}
	}()
	defer close(s.desk.work)
	s.fileChanged(nil, s.seen)
	s.moving = &moving{}
	s.fileChanged(nil, "other")
	s.moving, s.ending = nil, &ending{}
	s.fileChanged(nil, "other")
	if loads != 0 {
		t.Errorf("the configuration was read %d times", loads)
	}
}

// A bad file that is mended is taken up, as is one that a command has refused.
func TestWatchMended(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, watchedText(1))
	w := watchFile(t, path)
	testkit.WriteFile(t, path, "port = 99999\n")
	testkit.Until(t, "the refusal", func() bool { return w.control.Status().Config.Fault != "" })
	if st := w.control.Status(); !strings.Contains(st.Config.Fault, "lb.toml:1:8: port") {
		t.Errorf("fault %q", st.Config.Fault)
	}
	testkit.WriteFile(t, path, watchedText(2))
	w.wantTaken(t, 2, 2)
	if st := w.control.Status(); st.Config.Fault != "" {
		t.Errorf("fault %q of a file that was mended", st.Config.Fault)
	}
}

// watch = false ends it, and true begins it again.
func TestWatchOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, watchedText(1))
	w := watchFile(t, path)
	testkit.WriteFile(t, path, "watch = false\n"+watchedText(2))
	w.wantTaken(t, 2, 2)
	if w.control.Status().Config.Watching {
		t.Fatal("it is watched still")
	}
	testkit.WriteFile(t, path, watchedText(3))
	if _, err := w.control.Reload(false); err != nil {
		t.Fatal(err)
	}
	w.wantTaken(t, 3, 3) // by the command, and by nothing else
	testkit.WriteFile(t, path, watchedText(4))
	w.wantTaken(t, 4, 4)
}

// Without any watches to be had, the file is looked at now and then.
func TestWatchByLooking(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	hashes := make(chan string, 8)
	w := newWatcher(path, slog.New(slog.DiscardHandler), func(_ <-chan struct{}, hash string) { hashes <- hash })
	w.start(nil)
	defer w.close()
	for _, text := range []string{"a", "b"} {
		testkit.WriteFile(t, path, text)
		for hash := range hashes { // perhaps once more for the first
			if hash == hashOf([]byte(text)) {
				break
			}
		}
	}
}

func TestTrail(t *testing.T) {
	dir := t.TempDir()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	for _, d := range []string{"v1", "conf", "far"} {
		os.Mkdir(at(d), 0o700)
	}
	testkit.WriteFile(t, at("v1", "lb.toml"), "x")
	testkit.WriteFile(t, at("conf", "plain"), "x")
	for link, target := range map[string]string{
		at("conf", "..data"): "../v1",
		at("conf", "map"):    "..data/lb.toml",
		at("far", "abs"):     at("conf", "map"),
		at("far", "nowhere"): "missing/x",
		at("far", "loop"):    "loop",
		at("near"):           "far",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		path          string
		entries, dirs []string
	}{
		{at("conf", "plain"), []string{at("conf", "plain")}, []string{at("conf")}},
		{at("conf", "missing"), []string{at("conf", "missing")}, []string{at("conf")}},
		{at("gone", "x"), []string{at("gone")}, []string{dir}},
		{at("conf", "map"), []string{at("conf", "map"), at("conf", "..data"), at("v1", "lb.toml")}, []string{at("conf"), at("v1")}},
		{at("near", "abs"), []string{at("near"), at("far", "abs"), at("conf", "map"), at("conf", "..data"), at("v1", "lb.toml")},
			[]string{dir, at("far"), at("conf"), at("v1")}},
		{at("far", "nowhere"), []string{at("far", "nowhere"), at("far", "missing")}, []string{at("far")}},
	} {
		entries, dirs := trail(tc.path)
		if !slices.Equal(entries, tc.entries) || !slices.Equal(dirs, tc.dirs) {
			t.Errorf("%s:\n%q in %q, want\n%q in %q", tc.path, entries, dirs, tc.entries, tc.dirs)
		}
	}
	if entries, dirs := trail(at("far", "loop")); len(entries) == 0 || !slices.Equal(dirs, []string{at("far")}) {
		t.Errorf("a link to itself: %q in %q", entries, dirs)
	}
}
