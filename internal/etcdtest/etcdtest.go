// Package etcdtest runs Debian's etcd for tests.
package etcdtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"lb/internal/testkit"
)

// Server is an etcd, or one member of a cluster.
type Server struct {
	Addr    string // 127.0.0.1:port, for clients
	Process *testkit.Process

	name, peer string
	cluster    string // all members
	token      string // names the cluster
	dir        string // data folder
	round      int    // of Replace
	flags      []string
	scheme     string
}

// Start starts one etcd with more flags, and returns when it answers. The test is skipped if
// there is no etcd, unless LB_CI says that there has to be.
func Start(t testing.TB, flags ...string) *Server { return Cluster(t, 1, flags...)[0] }

// Cluster is Start for a cluster of n members.
func Cluster(t testing.TB, n int, flags ...string) []*Server {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatal(err)
		}
		t.Skip("there is no etcd: apt-get install etcd-server")
	}
	list := make([]*Server, n)
	var members []string
	for i := range list {
		list[i] = &Server{Addr: testkit.FreePort(t), peer: testkit.FreePort(t), name: fmt.Sprintf("m%d", i), dir: t.TempDir(), flags: flags, scheme: "http"}
		for _, f := range flags {
			if strings.HasPrefix(f, "--cert-file") {
				list[i].scheme = "https"
			}
		}
		members = append(members, fmt.Sprintf("%s=http://%s", list[i].name, list[i].peer))
	}
	for _, s := range list {
		s.cluster, s.token = strings.Join(members, ","), list[0].peer
		s.Begin(t)
	}
	for _, s := range list {
		s.ready(t)
	}
	return list
}

// Begin starts the process, with the data that it had. Ready waits for it.
func (s *Server) Begin(t testing.TB) {
	t.Helper()
	args := []string{"--name", s.name, "--data-dir", filepath.Join(s.dir, fmt.Sprint(s.round)),
		"--listen-client-urls", s.scheme + "://" + s.Addr, "--advertise-client-urls", s.scheme + "://" + s.Addr,
		"--listen-peer-urls", "http://" + s.peer, "--initial-advertise-peer-urls", "http://" + s.peer,
		"--initial-cluster", s.cluster, "--initial-cluster-token", fmt.Sprint(s.token, s.round), "--logger", "zap", "--log-outputs", "stderr",
		"--heartbeat-interval", "50", "--election-timeout", "500"}
	s.Process = testkit.Start(t, exec.Command("etcd", append(args, s.flags...)...))
}

// ready waits until s says that it serves clients.
func (s *Server) ready(t testing.TB) {
	t.Helper()
	testkit.Until(t, "etcd to serve", func() bool {
		if s.Process.Ended() {
			t.Fatalf("etcd has ended: %s", s.Process.Log.String())
		}
		return strings.Contains(s.Process.Log.String(), "serving client traffic")
	})
}

// Kill ends the process at once.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.Process.Signal(t, os.Kill)
	s.Process.ExitCode(t)
}

// Restart kills the process and starts it again with its data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill(t)
	s.Begin(t)
	s.ready(t)
}

// Replace kills the process, if it has not ended, and starts another in its place, without data.
func (s *Server) Replace(t testing.TB) {
	t.Helper()
	if !s.Process.Ended() {
		s.Kill(t)
	}
	s.round++
	s.Begin(t)
	s.ready(t)
}

// Client returns a client of s, until the test ends.
func (s *Server) Client(t testing.TB) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.scheme + "://" + s.Addr}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Put writes pairs of a key and a value, all in one transaction. A value of "-" removes the key.
func (s *Server) Put(t testing.TB, pairs ...string) {
	t.Helper()
	var ops []clientv3.Op
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			ops = append(ops, clientv3.OpDelete(pairs[i]))
			continue
		}
		ops = append(ops, clientv3.OpPut(pairs[i], pairs[i+1]))
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	c := s.Client(t)
	defer c.Close()
	testkit.Until(t, "etcd to take a transaction", func() bool { // not while a cluster looks for a leader
		_, err := c.Txn(ctx).Then(ops...).Commit()
		return err == nil
	})
}
