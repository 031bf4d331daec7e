package supervise

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lb/config"
	"lb/internal/filewatch"
	"lb/internal/testkit"
	"lb/supervise/queue"
	"lb/supervise/supervisetest"
)

// watched is lb with a configuration file that it watches. The drain timeout in the file,
// in seconds, tells one content from another.
type watched struct {
	*inside
	log testkit.Log
}

func watchedText(seconds int) string {
	return fmt.Sprintf("mode = \"mt\"\nhost = \"127.0.0.1\"\nport = 0\nworkers = 1\nlog_level = \"error\"\n"+
		"admin = { address = \"127.0.0.1:0\", socket = \"off\" }\nbackends = [{ socket = \"/a\" }]\n[timeouts]\ndrain = \"%ds\"\n", seconds)
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

// wantTaken waits for the file with that many seconds to be in use, as the configuration
// with this number: no other reload came before it.
func (w *watched) wantTaken(t *testing.T, seconds int, number uint64) {
	t.Helper()
	testkit.Until(t, fmt.Sprintf("the file with %d", seconds), func() bool { return w.seconds() == seconds })
	if got := w.running.View().Number; got != number {
		t.Errorf("configuration %d, want %d: one reload for each change\n%s", got, number, w.log.String())
	}
}

// The file is taken up once, in whatever way it is written.
func TestWatchWays(t *testing.T) {
	testkit.Long(t)
	ways := map[string]func(t testing.TB, path, text string){
		"write in place":    testkit.WriteFile,
		"rename into place": testkit.SwapFile,
		"truncate, and write in two steps": func(t testing.TB, path, text string) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			half := strings.LastIndex(text, "\"") // within quotes: lb refuses this half, should it read it
			for _, part := range []string{text[:half], text[half:]} {
				if _, err := f.WriteString(part); err != nil {
					t.Fatal(err)
				}
				f.Sync()
			}
		},
		"an editor's backup, and a new file": func(t testing.TB, path, text string) {
			testkit.Rename(t, path, path+"~")
			testkit.WriteFile(t, path, text)
			os.Remove(path + "~")
		},
		"remove, and write again": func(t testing.TB, path, text string) {
			os.Remove(path)
			testkit.WriteFile(t, path, text)
		},
		"replace the directory": func(t testing.TB, path, text string) {
			dir := filepath.Dir(path)
			testkit.Rename(t, dir, dir+".old")
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
	testkit.Long(t)
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
		testkit.Rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
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

// The link is in one directory, and the file, which changes, in another.
func TestWatchBehindLink(t *testing.T) {
	testkit.Long(t)
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
	testkit.SwapFile(t, path, watchedText(3)) // a file in the place of the link
	w.wantTaken(t, 3, 3)
}

// The desk does not try again what it has tried, and waits for nobody during an
// upgrade.
func TestFileChanged(t *testing.T) {
	loads := 0
	s := &desk{queue: queue.New(), log: slog.New(slog.DiscardHandler)}
	s.file.Tried("tried")
	s.o.Load = func() (*config.Config, error) { loads++; return nil, os.ErrNotExist }
	go func() {
		for j := range s.queue.Work {
			j.Do()
			close(j.Done)
		}
	}()
	defer close(s.queue.Work)
	s.fileChanged(nil, filewatch.News{Hash: "tried", Swapped: true})
	s.moving = &upgrading{}
	s.fileChanged(nil, filewatch.News{Hash: "other"})
	s.moving, s.ending = nil, &ending{}
	s.fileChanged(nil, filewatch.News{Hash: "other"})
	if loads != 0 {
		t.Errorf("the configuration was read %d times", loads)
	}
}

// A bad file is taken up once it is correct, also if a command has refused it before.
func TestWatchMended(t *testing.T) {
	testkit.Long(t)
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
	testkit.Long(t)
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
	w.wantTaken(t, 3, 3) // only the command made a reload
	testkit.WriteFile(t, path, watchedText(4))
	w.wantTaken(t, 4, 4)
}

// servicesText is a file with n backends and n-1 routes.
func servicesText(n int) string {
	text := watchedText(n)
	for i := range n {
		text += fmt.Sprintf("[[pools]]\nname = \"p%d\"\nbackends = [{ socket = \"/p%d\" }]\n", i, i)
	}
	for i := range n - 1 {
		text += fmt.Sprintf("[[routes]]\npath = \"/%d\"\npool = \"p%d\"\n", i, i)
	}
	return text
}

// A file that was written in place and has lost more than half of its backends or routes
// may be cut off: it waits for an operator's word, or for a rename.
func TestWatchDoubts(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	for name, take := range map[string]func(t *testing.T, w *watched, path, text string){
		"rename": func(t *testing.T, _ *watched, path, text string) { testkit.SwapFile(t, path, text) },
		"command": func(t *testing.T, w *watched, _, _ string) {
			if _, err := w.control.Reload(false); err != nil {
				t.Fatal(err)
			}
		},
		"signal": func(_ *testing.T, w *watched, _, _ string) { w.signals <- syscall.SIGHUP },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "lb.toml")
			testkit.WriteFile(t, path, servicesText(8))
			w := watchFile(t, path)
			testkit.WriteFile(t, path, servicesText(4)) // 5 backends of 9, 3 routes of 7: fewer than half
			testkit.Until(t, "the doubt", func() bool { return strings.Contains(w.control.Status().Config.Fault, "3 of 7 routes") })
			if n := w.seconds(); n != 8 {
				t.Errorf("the file with %d was taken up", n)
			}
			if log := w.log.String(); strings.Count(log, "level=WARN msg=\"configuration not taken up") != 1 || !strings.Contains(log, "lb reload or SIGHUP") {
				t.Errorf("want one warning that says what to do:\n%s", log)
			}
			take(t, w, path, servicesText(4))
			w.wantTaken(t, 4, 2)
			if st := w.control.Status(); st.Config.Fault != "" {
				t.Errorf("fault %q of a file that was taken up", st.Config.Fault)
			}
			testkit.WriteFile(t, path, servicesText(3)) // 4 of 5, 2 of 3
			w.wantTaken(t, 3, 3)
			if log := w.log.String(); strings.Count(log, `has lost most of its backends or routes" number=2 left="3 of 7 routes"`) != 1 {
				t.Errorf("want one warning that says how many are left:\n%s", log)
			}
		})
	}
}

// What was read from a pipe stays: it cannot be read again, and a reload says so instead
// of waiting for it.
func TestReloadPipe(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		backend := supervisetest.HelloBackend(t, "a")
		cfg = changed(cfg, func(c *config.Config) { c.Source, c.Watch = path, true })
		supervisetest.AddBackend(t, cfg, backend.URL)
		var log testkit.Log
		in := serve(t, cfg, Options{Log: NewLog(&log, "warn"), Load: func() (*config.Config, error) { return config.Load(path) }})
		if in.control.Status().Config.Watching {
			t.Error("a pipe is watched")
		}
		const why = "cannot be read again"
		for _, plan := range []bool{false, true} {
			if _, err := in.control.Reload(plan); err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("reload: %v", err)
			}
		}
		before := in.control.Status().Totals.ReloadFaults
		in.signals <- syscall.SIGHUP
		testkit.Until(t, "the refusal", func() bool { return in.control.Status().Totals.ReloadFaults > before })
		if _, err := in.control.Upgrade(""); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("upgrade: %v", err)
		}
		supervisetest.Get(in.addr).Want(t, "a")
	})
}
