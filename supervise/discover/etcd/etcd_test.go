package etcd

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/internal/etcdtest"
	"lb/internal/testkit"
)

// run runs a source until the test ends, and returns what it reports as text.
func run(t *testing.T, s *Source) <-chan string {
	t.Helper()
	c := make(chan string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, func(list []config.Backend, err error) {
			texts := make([]string, len(list))
			for i, b := range list {
				texts[i] = b.String()
			}
			if err != nil {
				texts = []string{"error: " + err.Error()}
			}
			c <- strings.Join(texts, " ")
		})
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Wait(t, ended, "the source to end")
	})
	return c
}

func until(t *testing.T, c <-chan string, want string) {
	t.Helper()
	late := time.After(testkit.Patience)
	for last := ""; ; {
		select {
		case got := <-c:
			if last = got; got == want {
				return
			}
		case <-late:
			t.Fatalf("waited for %q; the last was %q", want, last)
		}
	}
}

func source(t *testing.T, url string, log *testkit.Log) *Source {
	t.Helper()
	s, err := New(config.Pool{Name: "web", Discover: url}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A value that is no backend leaves out its entry only, and what was good stays.
func TestValues(t *testing.T) {
	server, log := etcdtest.Start(t), &testkit.Log{}
	server.Put(t, "lb/web/a", `{"host":"10.0.0.1","port":1}`, "lb/web/b", `{"host":"10.0.0.2"`, "lb/web/", "",
		"lb/web2/x", `{"host":"10.0.0.9","port":1}`)
	c := run(t, source(t, "etcd://"+server.Addr+"/lb/web", log))
	until(t, c, "10.0.0.1:1")
	server.Put(t, "lb/web/b", `{"address":"10.0.0.2:2"}`)
	until(t, c, "10.0.0.1:1 10.0.0.2:2")
	server.Put(t, "lb/web/a", "rubbish", "lb/web/c", `{"host":"c.test","port":3,"weight":4,"backup":true}`)
	until(t, c, "10.0.0.1:1 10.0.0.2:2 c.test:3")
	server.Put(t, "lb/web/c", "-")
	until(t, c, "10.0.0.1:1 10.0.0.2:2")
	server.Put(t, "lb/web/a", "-")
	until(t, c, "10.0.0.2:2")
	text := log.String()
	for _, want := range []string{"key=lb/web/a", "key=lb/web/b", "stays as it was, 10.0.0.1:1", "is left out", "mend="} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "no backend"); n != 2 {
		t.Errorf("%d lines for 2 bad values:\n%s", n, text)
	}
}

// A prefix without a key is reported a second time, for which the hub waits.
func TestEmpty(t *testing.T) {
	testkit.Long(t)
	server := etcdtest.Start(t)
	s := source(t, "etcd://"+server.Addr+"/lb/web/", &testkit.Log{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	times := make(chan time.Time, 100) // when it was reported, not when the test has seen that
	go s.Run(ctx, func(list []config.Backend, err error) {
		if len(list) == 0 && err == nil {
			times <- time.Now()
		}
	})
	first := testkit.Wait(t, times, "an answer")
	if d := testkit.Wait(t, times, "the second answer").Sub(first); d < 10*time.Second {
		t.Errorf("the second answer came after %v", d)
	}
}

// The error of a source shows no credentials.
func TestDown(t *testing.T) {
	at := testkit.RefusingAddr(t)
	c := run(t, source(t, "etcd://u:hush@"+at+"/lb/web/", &testkit.Log{}))
	if got := testkit.Wait(t, c, "an error"); !strings.Contains(got, "error: etcd at "+at) || strings.Contains(got, "hush") {
		t.Error(got)
	}
	if _, err := New(config.Pool{Discover: "etcd://u:hush@a/k?no=1"}, nil); err == nil || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
}
