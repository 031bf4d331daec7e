package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"lb/internal/etcdtest"
	"lb/internal/testkit"
)

// fleetLB is an lb with its configuration in a store.
type fleetLB struct {
	*testing.T
	url, dir, mode string
	addrs          []string // of backends
	p              *testkit.Process
	addr           string
}

// text returns a configuration with the first n backends, and more at its end.
func (f *fleetLB) text(n int, more string) string {
	text := fmt.Sprintf("host = \"127.0.0.1\"\nport = 0\nmode = %q\nworkers = 2\n[admin]\naddress = \"\"\nsocket = %q\n", f.mode, filepath.Join(f.dir, "lb.sock"))
	for _, a := range f.addrs[:n] {
		text += fmt.Sprintf("[[backends]]\nhost = \"127.0.0.1\"\nport = %s\n", a[strings.LastIndexByte(a, ':')+1:])
	}
	return text + more
}

// run runs a command with the URL, and returns what it writes, and its exit code.
func (f *fleetLB) run(args ...string) (out string, code int) {
	f.Helper()
	cmd := exec.Command(lbExe, append(args, "-c", f.url)...)
	cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+f.dir)
	data, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		f.Fatal(err)
	}
	if strings.Contains(string(data), "hush") {
		f.Errorf("lb %v shows the password:\n%s", args, data)
	}
	return string(data), cmd.ProcessState.ExitCode()
}

// does runs a command that has to write want and to end with code.
func (f *fleetLB) does(want string, code int, args ...string) {
	f.Helper()
	if out, got := f.run(args...); got != code || !strings.Contains(out, want) {
		f.Errorf("lb %v: exit code %d, want %d and %q in:\n%s", args, got, code, want, out)
	}
}

// begin starts lb and waits until it serves.
func (f *fleetLB) begin() {
	f.Helper()
	cmd := exec.Command(lbExe, "serve", "--log-format", "text", "-c", f.url)
	cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+f.dir)
	f.p = testkit.Start(f.T, cmd)
	if f.addr = f.p.Serving(f.T); f.addr == "" {
		f.Fatalf("lb does not serve: %s", f.p.Log.String())
	}
}

// stop ends the lb that was begun last, and looks for the password in its log.
func (f *fleetLB) stop() {
	f.Helper()
	f.does("draining", 0, "drain")
	f.ended()
	if strings.Contains(f.p.Log.String(), "hush") {
		f.Errorf("the log shows the password")
	}
}

// ended waits until no process of lb is left. Those of an upgrade may be ours to wait for: see
// service.reap.
func (f *fleetLB) ended() {
	f.Helper()
	testkit.Until(f.T, "lb to end", func() bool {
		if f.p.Ended() {
			syscall.Wait4(-f.p.Process.Pid, nil, syscall.WNOHANG, nil)
		}
		return f.p.GroupGone()
	})
}

// storeStatus is what these tests read of lb status.
type storeStatus struct {
	PID    int
	Config struct {
		File, Fault string
		Store       *struct {
			Revision uint64
			FromDisk bool `json:"from_disk"`
			Fault    string
		}
	}
	Pools []struct{ Backends []struct{} }
}

// until waits until the status of lb is ok.
func (f *fleetLB) until(what string, ok func(st storeStatus) bool) {
	f.Helper()
	var last string
	if !testkit.Happens(func() bool {
		var st storeStatus
		last, _ = f.run("status", "--json", "--socket", filepath.Join(f.dir, "lb.sock"))
		return json.Unmarshal([]byte(last), &st) == nil && st.Config.Store != nil && ok(st)
	}) {
		f.Fatalf("waited for %s; the status was %s", what, last)
	}
}

// has returns a condition for until: so many backends, from a store that is there.
func has(n int) func(storeStatus) bool {
	return func(st storeStatus) bool {
		return len(st.Pools[0].Backends) == n && st.Config.Store.Fault == "" && !st.Config.Store.FromDisk && st.Config.Fault == ""
	}
}

// load sends requests one after the other until stop is called, which fails the test if one
// was not answered well.
func (f *fleetLB) load() (stop func()) {
	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !ended.Load() {
			answer, err := http.Get("http://" + f.addr + "/")
			if err != nil || answer.StatusCode != http.StatusOK {
				f.Errorf("a request was lost: %v, %v", answer, err)
				return
			}
			answer.Body.Close()
		}
	}()
	return func() {
		ended.Store(true)
		testkit.Wait(f.T, done, "the last request")
	}
}

// fleet returns an lb with n backends and its configuration at url, not yet begun.
func fleet(t *testing.T, mode, url string, n int) *fleetLB {
	f := &fleetLB{T: t, url: url, dir: t.TempDir(), mode: mode}
	for range n {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(server.Close)
		f.addrs = append(f.addrs, server.Listener.Addr().String())
	}
	return f
}

// A configuration in etcd is checked, served, watched, refused and planned as a file is. With
// etcd away lb goes on, is upgraded, and starts with the copy of what it has accepted last.
func TestConfigInEtcd(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		etcd := etcdtest.Start(t)
		f := fleet(t, mode, "etcd://u:hush@"+etcd.Addr+"/lb/config", 4)
		name := "etcd://" + etcd.Addr + "/lb/config"
		f.does(name+": there is no such key", 1, "check")
		etcd.Put(t, "lb/config", f.text(4, "oops = 1\n"))
		f.does(name+":20:1: backends[3].oops: unknown key", 2, "check")
		f.does("unknown key", 2, "serve")
		etcd.Put(t, "lb/config", f.text(4, ""))
		f.does(name+": ok, 4 backends", 0, "check")
		f.begin()
		f.until("4 backends", has(4))
		stop := f.load()
		f.changes(etcd, name)
		f.away(etcd, name)
		stop()
		f.stop()
		f.startAlone(etcd, name)
	})
}

// changes has revisions taken up and refused.
func (f *fleetLB) changes(etcd *etcdtest.Server, name string) {
	etcd.Put(f.T, "lb/config", f.text(3, ""))
	f.until("3 backends", has(3))
	etcd.Put(f.T, "lb/config", f.text(3, "weight = 0\n"))
	f.until("a mistake to be refused", func(st storeStatus) bool {
		return strings.Contains(st.Config.Fault, name+":17:10: backends[2].weight") && len(st.Pools[0].Backends) == 3
	})
	f.does("LAST RELOAD REFUSED", 0, "status")
	f.does("backends[2].weight", 1, "reload", "--plan")
	etcd.Put(f.T, "lb/config", f.text(1, ""))
	f.until("a loss of most backends to be doubted", func(st storeStatus) bool {
		return strings.Contains(st.Config.Fault, "it has 1 of 3 backends") && len(st.Pools[0].Backends) == 3
	})
	f.does("removed", 0, "reload", "--plan")
	f.does("removed", 0, "reload")
	f.until("1 backend", has(1))
	f.does(name+":2", 0, "config", "show", "port")
	etcd.Put(f.T, "lb/config", "-")
	f.until("the key to be missed", func(st storeStatus) bool {
		return strings.Contains(st.Config.Store.Fault, "no such key") && len(st.Pools[0].Backends) == 1
	})
	etcd.Put(f.T, "lb/config", f.text(2, ""))
	f.until("2 backends", has(2))
}

// away has etcd go away, and come back with another revision. Meanwhile lb is upgraded.
func (f *fleetLB) away(etcd *etcdtest.Server, name string) {
	etcd.Kill(f.T)
	f.until("the store to be missed", func(st storeStatus) bool { return st.Config.Store.Fault != "" })
	f.does("STORE fails", 0, "status")
	f.does("cannot be read", 1, "reload")
	f.does("serves", 0, "upgrade")
	f.until("the copy to be in use", func(st storeStatus) bool { return st.Config.Store.FromDisk && len(st.Pools[0].Backends) == 2 })
	etcd.Begin(f.T)
	f.until("the store to be back", has(2))
	etcd.Put(f.T, "lb/config", f.text(3, ""))
	f.until("3 backends", has(3))
	f.does("serves", 0, "upgrade")
	f.until("3 backends of the new process", has(3))
	for _, want := range []string{"configuration store fails", "configuration is the copy", "answers again"} {
		if !strings.Contains(f.p.Log.String(), want) {
			f.Errorf("the log does not say %q", want)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(f.dir, "config-*.toml")); len(files) != 1 {
		f.Errorf("copies: %v", files)
	} else if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		f.Errorf("the copy: %v, %v", info.Mode(), err)
	}
}

// startAlone starts lb while etcd is away: with a copy on disk, and without one.
func (f *fleetLB) startAlone(etcd *etcdtest.Server, name string) {
	etcd.Kill(f.T)
	f.begin()
	f.until("the copy to be in use", func(st storeStatus) bool { return st.Config.Store.FromDisk && len(st.Pools[0].Backends) == 3 })
	f.stop()
	f.dir = f.TempDir()
	f.does(name+" cannot be read", 1, "serve")
	f.does("connection refused", 1, "check")
}

// kv is a key of Consul, as its documentation has it.
type kv struct {
	value atomic.Pointer[string]
	index atomic.Uint64
	gone  atomic.Bool // nothing is answered
}

func (k *kv) put(text string) {
	k.value.Store(&text)
	k.index.Add(7)
}

func (k *kv) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k.gone.Load() || r.Header.Get("X-Consul-Token") != "hush" {
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
		return
	}
	if asked := r.URL.Query().Get("index"); asked != "" { // a blocking query
		testkit.Happens(func() bool {
			return fmt.Sprint(k.index.Load()) != asked || r.Context().Err() != nil || k.gone.Load()
		})
	}
	index := k.index.Load()
	w.Header().Set("X-Consul-Index", fmt.Sprint(index))
	json.NewEncoder(w).Encode([]map[string]any{{"Key": "lb/config", "Value": []byte(*k.value.Load()), "ModifyIndex": index}})
}

// A configuration in Consul is watched by blocking queries.
func TestConfigInConsul(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		k := &kv{}
		server := httptest.NewServer(k)
		t.Cleanup(server.Close)
		t.Cleanup(func() { k.gone.Store(true) })
		f := fleet(t, mode, server.URL[len("http://"):], 3)
		f.url = "consul://" + f.url + "/lb/config?token=hush"
		k.put(f.text(2, ""))
		f.does(": ok, 2 backends", 0, "check")
		f.begin()
		f.until("2 backends", has(2))
		k.put(f.text(3, ""))
		f.until("3 backends", has(3))
		k.gone.Store(true)
		f.until("the store to be missed", func(st storeStatus) bool {
			return strings.Contains(st.Config.Store.Fault, "status 500 No cluster leader") && len(st.Pools[0].Backends) == 3
		})
		k.gone.Store(false)
		k.put(f.text(2, ""))
		f.until("2 backends again", has(2))
		f.p.Signal(t, syscall.SIGTERM)
		f.ended()
	})
}
