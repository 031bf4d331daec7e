package consul

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lb/internal/storeurl"
	"lb/internal/testkit"
	"lb/supervise/store"
)

// The answers in testdata were recorded from an agent of Consul 1.14.11.

// step is one request that an agent expects, by its query, and the answer.
type step struct {
	query, file string
	index       string // in the place of the one in file
}

// agent returns the address of an agent that answers by steps, in their order. After the last
// it waits, as an agent does whose key does not change.
func agent(t *testing.T, steps ...step) string {
	t.Helper()
	asked := make(chan step, len(steps))
	for _, s := range steps {
		asked <- s
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s := <-asked:
			if got := r.URL.Path + "?" + r.URL.RawQuery; got != "/v1/kv/lb/config?"+s.query {
				t.Errorf("asked for %s, want ?%s", got, s.query)
			}
			answer(t, w, s)
		default:
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// answer sends a recorded answer.
func answer(t *testing.T, w http.ResponseWriter, s step) {
	data, err := os.ReadFile(filepath.Join("testdata", s.file+".http"))
	if err != nil {
		t.Error(err)
		return
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
	if err != nil {
		t.Error(err)
		return
	}
	for name, values := range r.Header {
		w.Header()[name] = values
	}
	if s.index != "" {
		w.Header().Set("X-Consul-Index", s.index)
	}
	w.WriteHeader(r.StatusCode)
	io.Copy(w, r.Body)
}

func at(t *testing.T, text string) *Store {
	t.Helper()
	u, err := storeurl.Parse(text, "", Params...)
	if err != nil {
		t.Fatal(err)
	}
	s := New(u)
	s.base = time.Millisecond
	return s
}

// follow returns what Follow reports, as text.
func follow(t *testing.T, s *Store) <-chan string {
	t.Helper()
	c := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Follow(ctx, func(v store.Value, err error) {
			switch {
			case err != nil:
				c <- "error: " + err.Error()
			case !v.Found:
				c <- "none"
			default:
				c <- fmt.Sprintf("%s at %d", strings.TrimSpace(string(v.Data)), v.Revision)
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Wait(t, ended, "Follow to end")
	})
	return c
}

// A key is asked for again with the index of the last answer. A wait that is over without a
// change is no news, and an index that has gone back begins again.
func TestFollow(t *testing.T) {
	addr := agent(t,
		step{"", "missing", ""},
		step{"index=1&wait=5m0s", "value", ""},
		step{"index=16&wait=5m0s", "woken", ""},
		step{"index=19&wait=5m0s", "timedout", ""},
		step{"index=19&wait=5m0s", "deleted", ""},
		step{"index=20&wait=5m0s", "value", "7"},
		step{"index=1&wait=5m0s", "value", ""},
		step{"index=16&wait=5m0s", "noleader", ""},
		step{"", "woken", ""},
	)
	c := follow(t, at(t, "consul://"+addr+"/lb/config"))
	for _, want := range []string{"none", "port = 8081 at 16", "port = 8082 at 19", "none", "port = 8081 at 16", "port = 8081 at 16",
		"error: consul at " + addr + ": status 500 No cluster leader", "port = 8082 at 19"} {
		if got := testkit.Wait(t, c, want); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{"anonymous", "status 403 Permission denied"}, {"badtoken", "status 403 ACL not found"},
		{"nodc", "status 500 No path to datacenter"}, {"noleader", "status 500 No cluster leader"},
	} {
		_, err := at(t, "consul://"+agent(t, step{"dc=x", tc.file, ""})+"//lb/config?token=hush&dc=x").Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v; want %q", tc.file, err, tc.want)
		}
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for url, want := range map[string]string{
		"consul://" + testkit.RefusingAddr(t) + "/k?token=hush":                  "connection refused",
		"consul://" + strings.TrimPrefix(other.URL, "http://") + "/k":            "status 404",
		"consul://a/k?token_file=/nowhere":                                       "/nowhere",
		"consuls://" + strings.TrimPrefix(other.URL, "http://") + "/k?ca=/no/ca": "/no/ca",
	} {
		_, err := at(t, url).Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
}

// The token is sent in its field alone, and the second agent is asked if the first refuses.
func TestToken(t *testing.T) {
	tokens := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("X-Consul-Token") + " " + r.URL.RawQuery
		answer(t, w, step{file: "value"})
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	testkit.WriteFile(t, file, "hush\n")
	s := at(t, "consul://"+testkit.RefusingAddr(t)+","+strings.TrimPrefix(server.URL, "http://")+"/k?token_file="+file)
	v, err := s.Read(t.Context())
	if err != nil || string(v.Data) != "port = 8081\n" || v.Revision != 16 {
		t.Errorf("%+v, %v", v, err)
	}
	if got := testkit.Wait(t, tokens, "a request"); got != "hush " {
		t.Errorf("sent %q", got)
	}
}

// No answer of an agent makes parse panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`[{"Value":"cG9ydA==","ModifyIndex":7}]`, `[{"Value":null}]`, `[]`, `{}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := parse(data); err != nil && v.Found {
			t.Error("found, and an error")
		}
	})
}
