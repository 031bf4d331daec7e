package etcd

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lb/internal/etcdtest"
	"lb/internal/storeurl"
	"lb/internal/testkit"
)

// at returns a Store at the URL.
func at(t *testing.T, url string, prefix bool) *Store {
	t.Helper()
	u, err := storeurl.Parse(url, "")
	if err != nil {
		t.Fatal(err)
	}
	return New(u, prefix)
}

// news is what Follow has reported.
type news struct {
	View
	err error
}

// follow follows s until the test ends.
func follow(t *testing.T, s *Store) <-chan news {
	c := make(chan news, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Follow(ctx, func(v View, err error) { c <- news{v, err} })
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Wait(t, ended, "Follow to end")
	})
	return c
}

// text returns a view as one text: key=value, sorted.
func (n news) text() string {
	if n.err != nil {
		return "error"
	}
	var list []string
	for _, p := range n.Pairs {
		list = append(list, p.Key+"="+string(p.Value))
	}
	return strings.Join(list, " ")
}

// until waits for a report with this text, and returns the ones before.
func until(t *testing.T, c <-chan news, want string) (before []news) {
	t.Helper()
	late := time.After(testkit.Patience)
	for {
		select {
		case n := <-c:
			if n.text() == want {
				return before
			}
			before = append(before, n)
		case <-late:
			t.Fatalf("waited for %q; there was %+v", want, before)
		}
	}
}

func TestFollow(t *testing.T) {
	s := etcdtest.Start(t)
	s.Put(t, "lb/web/a", "1", "lb/web2/x", "no")
	c := follow(t, at(t, "etcd://"+s.Addr+"/lb/web/", true))
	until(t, c, "lb/web/a=1")
	s.Put(t, "lb/web/b", "2", "lb/web/a", "-")
	if before := until(t, c, "lb/web/b=2"); len(before) > 0 {
		t.Errorf("a transaction was reported in parts: %v", before)
	}
	cl := s.Client(t)
	lease, err := cl.Grant(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Put(t.Context(), "lb/web/c", "3", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	until(t, c, "lb/web/b=2 lb/web/c=3")
	if _, err := cl.Revoke(t.Context(), lease.ID); err != nil { // as when its time is up, but not before c was seen
		t.Fatal(err)
	}
	until(t, c, "lb/web/b=2")
}

// Keys with a slash in front are found by the same URL, whether they are there before or not.
func TestSlash(t *testing.T) {
	s := etcdtest.Start(t)
	c := follow(t, at(t, "etcd://"+s.Addr+"/lb/", true))
	until(t, c, "")
	s.Put(t, "/lb/a", "1")
	until(t, c, "/lb/a=1")
	one := at(t, "etcd://"+s.Addr+"/lb/a", false)
	if v, err := one.Read(t.Context()); err != nil || len(v.Pairs) != 1 || v.Pairs[0].Key != "/lb/a" {
		t.Errorf("%+v, %v", v, err)
	}
	s.Put(t, "lb/a", "2") // the exact key has priority
	if v, err := one.Read(t.Context()); err != nil || len(v.Pairs) != 1 || v.Pairs[0].Key != "lb/a" {
		t.Errorf("%+v, %v", v, err)
	}
}

// A store that is killed is reported, one that comes back with its data or in its place is
// read again, although its revisions are lower.
func TestRestarted(t *testing.T) {
	s := etcdtest.Start(t)
	for i := range 20 {
		s.Put(t, "k/a", fmt.Sprint(i))
	}
	c := follow(t, at(t, "etcd://"+s.Addr+"/k/", true))
	until(t, c, "k/a=19")
	s.Kill(t)
	until(t, c, "error")
	s.Begin(t)
	until(t, c, "k/a=19")
	s.Replace(t)
	s.Put(t, "k/b", "new")
	until(t, c, "k/b=new")
	s.Put(t, "k/b", "newer")
	until(t, c, "k/b=newer")
}

// A watch that is behind what was compacted begins again.
func TestCompacted(t *testing.T) {
	s := etcdtest.Start(t)
	s.Put(t, "k/a", "1")
	store := at(t, "etcd://"+s.Addr+"/k/", true)
	cl := s.Client(t)
	r, err := store.read(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		s.Put(t, "k/a", fmt.Sprint(i))
	}
	if _, err := cl.Compact(t.Context(), r.revision+4); err != nil {
		t.Fatal(err)
	}
	if err := store.watch(t.Context(), cl, &r, func(v View) { t.Errorf("reported %v", v) }); err != errAgain {
		t.Errorf("a compacted revision: %v", err)
	}
	if err := store.look(t.Context(), cl, &r); err != errAgain {
		t.Errorf("what was missed is not seen: %v", err)
	}
	if r, err = store.read(t.Context(), cl); err != nil || store.look(t.Context(), cl, &r) != nil {
		t.Errorf("after a read something is missed: %v", err)
	}
}

// Of several servers those are used that answer: the first refuses, and the one with the watch
// is killed.
func TestEndpoints(t *testing.T) {
	list := etcdtest.Cluster(t, 3)
	urls := []string{testkit.RefusingAddr(t)}
	for _, s := range list {
		urls = append(urls, s.Addr)
	}
	c := follow(t, at(t, "etcd://"+strings.Join(urls, ",")+"/k/", true))
	until(t, c, "")
	list[0].Put(t, "k/a", "1")
	until(t, c, "k/a=1")
	list[0].Kill(t)
	list[1].Put(t, "k/a", "2")
	until(t, c, "k/a=2")
	list[0].Begin(t)
	list[1].Kill(t)
	list[2].Put(t, "k/a", "3")
	until(t, c, "k/a=3")
}

func TestFaults(t *testing.T) {
	for url, want := range map[string]string{
		"etcd://" + testkit.RefusingAddr(t) + "/k":         "connection refused",
		"etcd://u:hush@" + testkit.RefusingAddr(t) + "/k":  "connection refused",
		"etcd://a/k?password_file=/nowhere/at/all":         "/nowhere/at/all",
		"etcds://" + testkit.RefusingAddr(t) + "/k?ca=/no": "/no: no such file",
	} {
		_, err := at(t, url, false).Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
}

// A user with a password may read one of the keys only, and a wrong password is an error that
// does not show it.
func TestUser(t *testing.T) {
	s := etcdtest.Start(t)
	s.Put(t, "lb/a", "1")
	cl := s.Client(t)
	for _, err := range []error{
		second(cl.UserAdd(t.Context(), "root", "r")), second(cl.UserGrantRole(t.Context(), "root", "root")),
		second(cl.RoleAdd(t.Context(), "lb")), second(cl.RoleGrantPermission(t.Context(), "lb", "lb/", clientv3.GetPrefixRangeEnd("lb/"), 0)),
		second(cl.UserAdd(t.Context(), "lb", "p@ss")), second(cl.UserGrantRole(t.Context(), "lb", "lb")), second(cl.AuthEnable(t.Context())),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := follow(t, at(t, "etcd://lb:p%40ss@"+s.Addr+"/lb/", true))
	until(t, c, "lb/a=1")
	s.Restart(t) // which forgets the tokens that it has given
	until(t, c, "error")
	until(t, c, "lb/a=1")
	for url, want := range map[string]string{
		"etcd://lb:hush@" + s.Addr + "/lb/": "invalid user ID or password",
		"etcd://" + s.Addr + "/lb/":         "user name is empty",
		"etcd://lb:p%40ss@" + s.Addr + "/b": "permission denied",
	} {
		if _, err := at(t, url, true).Read(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTLS(t *testing.T) {
	ca, other := testkit.NewCA(t, "etcd"), testkit.NewCA(t, "other")
	dir := t.TempDir()
	cert, key := ca.Issue(t, testkit.Leaf{IPs: []string{"127.0.0.1"}}).Write(t, dir, "server")
	mine, mineKey := ca.Issue(t, testkit.Leaf{Names: []string{"lb"}, Client: true}).Write(t, dir, "client")
	file := ca.Write(t, dir, "ca")
	s := etcdtest.Start(t, "--cert-file="+cert, "--key-file="+key, "--client-cert-auth", "--trusted-ca-file="+file)
	good := "etcds://" + s.Addr + "/k?ca=" + file + "&cert=" + mine + "&key=" + mineKey
	c := follow(t, at(t, good, true))
	until(t, c, "")
	for url, want := range map[string]string{
		"etcds://" + s.Addr + "/k?ca=" + other.Write(t, dir, "other"): "certificate",
		"etcds://" + s.Addr + "/k?ca=" + file:                         "etcd at", // the alert, or a broken pipe
		"etcd://" + s.Addr + "/k":                                     "etcd at",
	} {
		if _, err := at(t, url, true).Read(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
}

// A server that no longer answers, without a word, is noticed by the pings; one that never
// does holds up no other.
func TestSilent(t *testing.T) {
	testkit.Long(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	s := etcdtest.Start(t)
	s.Put(t, "k/a", "1")
	c := follow(t, at(t, "etcd://"+silent.Addr().String()+","+s.Addr+"/k/", true))
	until(t, c, "k/a=1")
	s.Process.Signal(t, syscall.SIGSTOP)
	until(t, c, "error")
	s.Process.Signal(t, syscall.SIGCONT)
	s.Put(t, "k/a", "2")
	until(t, c, "k/a=2")
}

// Many keys and many changes are put together.
func TestMany(t *testing.T) {
	testkit.Long(t)
	s := etcdtest.Start(t)
	cl := s.Client(t)
	const n = 10_000
	for i := 0; i < n; i += 100 {
		var ops []clientv3.Op
		for j := i; j < i+100; j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("k/%05d", j), `{"address":"10.0.0.1:1"}`))
		}
		if _, err := cl.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	c := follow(t, at(t, "etcd://"+s.Addr+"/k/", true))
	if first := testkit.Wait(t, c, "the keys"); len(first.Pairs) != n {
		t.Fatalf("%d keys, %v", len(first.Pairs), first.err)
	}
	const changes = 500
	for i := range changes {
		if _, err := cl.Put(t.Context(), "k/00000", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	reports := 0
	for last := ""; last != fmt.Sprint(changes-1); reports++ {
		last = string(testkit.Wait(t, c, "the last change").Pairs[0].Value)
	}
	if reports >= changes {
		t.Errorf("%d reports for %d changes", reports, changes)
	}
	t.Logf("%d reports for %d changes", reports, changes)
}
