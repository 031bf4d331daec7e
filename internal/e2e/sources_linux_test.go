package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lb/internal/etcdtest"
	"lb/internal/testkit"
)

// sourced is what the tests of sources read of `lb status --json`.
type sourced struct {
	Discovery []struct {
		Pool, Source, Fault string
		Up                  bool
		Backends            int
	}
	Pools []struct {
		Backends []struct{ Address string }
	}
}

// sourced returns the state of the only source, and the members of the first pool.
func (s *service) sourced() (st sourced, members []string) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.want("status", "--json")), &st); err != nil || len(st.Discovery) == 0 {
		s.t.Fatalf("%+v, %v", st, err)
	}
	for _, b := range st.Pools[0].Backends {
		members = append(members, b.Address)
	}
	slices.Sort(members)
	return st, members
}

func (s *service) untilMembers(want ...string) {
	s.t.Helper()
	slices.Sort(want)
	testkit.Until(s.t, fmt.Sprintf("the members %v", want), func() bool {
		_, members := s.sourced()
		return slices.Equal(members, want)
	})
}

// untilFault waits until the source has failed for a reason that contains part.
func (s *service) untilFault(part string) {
	s.t.Helper()
	testkit.Until(s.t, "the fault "+part, func() bool {
		st, _ := s.sourced()
		return !st.Discovery[0].Up && strings.Contains(st.Discovery[0].Fault, part)
	})
}

// untilStatus waits until a request is answered with this status.
func (s *service) untilStatus(want int) {
	s.t.Helper()
	testkit.Until(s.t, fmt.Sprintf("an answer with the status %d", want), func() bool {
		resp, err := http.Get("http://" + s.addr + "/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == want
	})
}

// changeUnderLoad has set give a pool a, then both, then b, without a request lost.
func changeUnderLoad(t *testing.T, s *service, a, b string, set func(addrs ...string)) {
	t.Helper()
	set(a)
	s.untilMembers(a)
	w := s.send(2, 2)
	w.more(t, 50)
	set(a, b)
	s.untilMembers(a, b)
	w.more(t, 50)
	set(b)
	s.untilMembers(b)
	w.more(t, 50)
	w.wantNone(t)
}

// entries returns the addresses as a file of backends.
func entries(addrs ...string) string {
	var list []map[string]string
	for _, a := range addrs {
		list = append(list, map[string]string{"address": a})
	}
	text, _ := json.MarshalIndent(list, "", " ")
	return string(text)
}

// A pool lives from a file: missing at first, changed under load, wrong, gone, and there
// again. lb starts without it, and a start after that does not need it.
func TestFileSource(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		backends := checkedMany(t, 2)
		a, b := backends[0], backends[1]
		s := begin(t, mode, setup{keys: "discover = \"file:web.json\"\n"})
		s.untilStatus(http.StatusServiceUnavailable)
		s.untilFault(s.file("web.json") + ": there is no such file; write it")
		changeUnderLoad(t, s, a, b, func(addrs ...string) { s.writeAs("web.json", entries(addrs...)) })
		w := s.send(2, 2)
		s.writeAs("web.json", "[{\"address\": \""+a+"\"},\n {\"wieght\": 2, \"address\": \""+b+"\"}]")
		s.untilFault(`web.json:2:3: [1].wieght: unknown key; did you mean "weight"?`)
		if !strings.Contains(s.Log.String(), "wieght") {
			t.Errorf("the log has no line about the mistake:\n%s", s.Log.String())
		}
		if err := os.Remove(s.file("web.json")); err != nil {
			t.Fatal(err)
		}
		s.untilFault("there is no such file")
		s.untilMembers(b)
		w.more(t, 50)
		s.writeAs("web.json", entries(a, b))
		s.untilMembers(a, b)
		if st, _ := s.sourced(); !st.Discovery[0].Up || st.Discovery[0].Fault != "" || st.Discovery[0].Backends != 2 || st.Discovery[0].Source != "file://"+s.file("web.json") {
			t.Errorf("%+v", st.Discovery)
		}
		w.more(t, 50)
		w.wantNone(t)
	})
}

// serveOn serves h on l until the test ends.
func serveOn(t *testing.T, l net.Listener, err error, h http.HandlerFunc) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// membership is what a store in a test has.
type membership struct {
	mu      sync.Mutex
	index   int
	addrs   []string
	changed chan struct{} // closed at the next change
}

func (m *membership) set(addrs ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addrs = addrs
	m.index++
	if m.changed != nil {
		close(m.changed)
	}
	m.changed = make(chan struct{})
}

func (m *membership) get() (addrs []string, index int, changed chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addrs, m.index, m.changed
}

// A pool lives from Consul's answers to blocking queries. What Consul itself says is replayed
// in package consul.
func TestConsulSource(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		backends := checkedMany(t, 2)
		var m membership
		m.set()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		serveOn(t, l, err, func(w http.ResponseWriter, r *http.Request) {
			addrs, index, changed := m.get()
			if asked, _ := strconv.Atoi(r.URL.Query().Get("index")); asked == index {
				select {
				case <-changed:
				case <-r.Context().Done():
				}
				addrs, index, _ = m.get()
			}
			if r.Header.Get("X-Consul-Token") != "hunter2" || r.URL.Query().Get("tag") != "v2" {
				http.Error(w, "ACL not found", http.StatusForbidden)
				return
			}
			w.Header().Set("X-Consul-Index", strconv.Itoa(index))
			list := []any{}
			for _, a := range addrs {
				host, port, _ := net.SplitHostPort(a)
				n, _ := strconv.Atoi(port)
				list = append(list, map[string]any{"Node": map[string]any{"Address": host}, "Service": map[string]any{"ID": a, "Port": n}})
			}
			json.NewEncoder(w).Encode(list)
		})
		s := begin(t, mode, setup{keys: fmt.Sprintf("discover = \"consul://%s/web?tag=v2&token=hunter2\"\n", l.Addr())})
		changeUnderLoad(t, s, backends[0], backends[1], m.set)
		if st, _ := s.sourced(); strings.Contains(fmt.Sprint(st)+s.Log.String(), "hunter2") {
			t.Errorf("the token is shown: %+v\n%s", st, s.Log.String())
		}
	})
}

// A pool lives from the containers of a Docker engine, which are said to be in the network
// of the machine.
func TestDockerSource(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		backends := checkedMany(t, 2)
		var m membership
		m.set()
		v := newService(t, mode, setup{})
		v.setup.keys = fmt.Sprintf("discover = \"docker://%s\"\n", v.file("docker.sock"))
		l, err := net.Listen("unix", filepath.Join(v.dir, "docker.sock"))
		serveOn(t, l, err, func(w http.ResponseWriter, r *http.Request) {
			addrs, _, changed := m.get()
			switch _, call, _ := strings.Cut(r.URL.Path, "/v1.44/"); {
			case r.URL.Path == "/version":
				fmt.Fprint(w, `{"ApiVersion":"1.51","MinAPIVersion":"1.44"}`)
			case call == "events":
				for {
					w.(http.Flusher).Flush()
					select {
					case <-changed:
					case <-r.Context().Done():
						return
					}
					fmt.Fprintln(w, `{"Type":"container","Action":"start","Actor":{"ID":"x"}}`)
					_, _, changed = m.get()
				}
			default:
				var list []string
				for _, a := range addrs {
					_, port, _ := net.SplitHostPort(a)
					list = append(list, fmt.Sprintf(`{"Id":%q,"State":"running","Status":"Up","Labels":{"lb.port":%q},"NetworkSettings":{"Networks":{"host":{}}}}`, a, port))
				}
				fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
			}
		})
		v.start()
		changeUnderLoad(t, v, backends[0], backends[1], m.set)
	})
}

// A pool lives from keys of etcd: changed under load, wrong, gone with a lease. With etcd away,
// replaced by an empty one, and after a start without it, the pool keeps what it had.
func TestEtcdSource(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		backends, etcd := checkedMany(t, 2), etcdtest.Start(t)
		a, b := backends[0], backends[1]
		s := begin(t, mode, setup{keys: "discover = \"etcd://u:hush@" + etcd.Addr + "/lb/web/\"\n"})
		s.untilStatus(http.StatusServiceUnavailable)
		changeUnderLoad(t, s, a, b, func(addrs ...string) {
			pairs := []string{"lb/web/1", "-", "lb/web/2", "-"}
			for i, addr := range addrs {
				pairs[2*i+1] = `{"address": "` + addr + `"}`
			}
			etcd.Put(t, pairs...)
		})
		w := s.send(2, 2)
		etcd.Put(t, "lb/web/1", "rubbish", "lb/web/0", "{}")
		testkit.Until(t, "the log to name the key", func() bool {
			return strings.Contains(s.Log.String(), "key=lb/web/1") && strings.Contains(s.Log.String(), "key=lb/web/0")
		})
		c := etcd.Client(t)
		lease, err := c.Grant(t.Context(), 600)
		if err == nil {
			_, err = c.Put(t.Context(), "lb/web/3", `{"address": "`+a+`"}`, clientv3.WithLease(lease.ID))
		}
		if err != nil {
			t.Fatal(err)
		}
		s.untilMembers(a, b)
		if _, err := c.Revoke(t.Context(), lease.ID); err != nil { // as when its time is up
			t.Fatal(err)
		}
		s.untilMembers(b)
		etcd.Kill(t)
		s.untilFault("etcd at " + etcd.Addr)
		etcd.Replace(t)
		testkit.Until(t, "the source to be back", func() bool {
			st, _ := s.sourced()
			return st.Discovery[0].Up
		})
		s.untilMembers(b)
		etcd.Put(t, "lb/web/1", `{"address": "`+a+`"}`)
		s.untilMembers(a)
		w.more(t, 50)
		w.wantNone(t)
		if strings.Contains(s.Log.String(), "hush") || strings.Contains(s.want("status", "--json"), "hush") || strings.Contains(s.want("config", "show"), "hush") {
			t.Error("the password is shown")
		}
	})
}
