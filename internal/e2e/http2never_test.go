package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// Fields that came as never to be indexed go on as that, in both directions (RFC 7541 6.2.3).

// The fields of TestNeverIndexed, of a request and of its answers. Each has two that lb would
// write as an index, or as a literal that others may index.
var (
	neverAsked    = h2Fields(":path", "/", ":authority", "a.test", "x-key", "k1", "accept-encoding", "gzip, deflate", "cookie", "session=0123456789abcdef")
	neverSum      = h2Fields("x-sum", "s1")
	neverHints    = h2Fields("link", "</a>; rel=preload")
	neverAnswered = h2Fields("x-token", "t1", "cache-control", "private")
	neverEnd      = h2Fields("x-end", "e1")
)

// h2Names returns the names of fields, sorted.
func h2Names(lists ...[]h2Field) (names []string) {
	for _, f := range slices.Concat(lists...) {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names
}

// neverOf returns the names of the fields of s that came as never to be indexed, sorted.
func neverOf(s *h2Stream) []string {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return slices.Sorted(slices.Values(s.never))
}

// answerNever answers with fields that are never to be indexed, and with others.
func answerNever(r *h2Request) {
	if r.stream == nil {
		fmt.Fprintf(r.conn, "HTTP/1.1 200 OK\r\nX-Token:\tt1\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n2\r\nok\r\n0\r\nX-End:\te1\r\n\r\n")
		return
	}
	s := r.stream
	send := func(flags http2.Flags, plain, never []h2Field) {
		s.c.frame(http2.FrameHeaders, flags|endHeaders, s.id, h2Block(plain), h2Never(never))
	}
	send(0, h2Fields(":status", "103"), neverHints)
	send(0, h2Fields(":status", "200", "x-open", "o1"), neverAnswered)
	s.data(false, []byte("ok"))
	send(endStream, h2Fields("x-plain", "p1"), neverEnd)
}

// neverTables is two pools that leave the protocol to their backends, and the routes to them.
func neverTables(t *testing.T, backends map[string]*h2Origin) string {
	t.Helper()
	file := ca(t).Write(t, t.TempDir(), "choosing")
	var b strings.Builder
	for kind, o := range backends {
		host, port, _ := net.SplitHostPort(o.addr)
		fmt.Fprintf(&b, "[[pools]]\nname = %[1]q\nprotocol = \"auto\"\n[pools.tls]\nca = %[2]q\nserver_name = \"localhost\"\n"+
			"[[pools.backends]]\nhost = %[3]q\nport = %[4]s\ntls = true\n[[routes]]\nheaders = { \"x-to\" = %[1]q }\npool = %[1]q\n", "auto-"+kind, file, host, port)
	}
	return b.String()
}

func TestNeverIndexed(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		backends := map[string]*h2Origin{"h2": newH2Origin(t, "h2", answerNever), "https1": newH2Origin(t, "https1", answerNever)}
		l := startH2(t, mode, "", neverTables(t, backends), "", answerNever)
		for kind, o := range l.origins {
			backends["to "+kind] = o
		}
		for name, addr := range map[string]string{"clear": l.clear, "secure": l.secure} {
			h := h2Client(t, addr)
			for kind, o := range backends {
				to, is := strings.CutPrefix(kind, "to ")
				if !is {
					to = "auto-" + kind
				}
				askNever(t, h, name+" to "+to, to, o)
			}
			h.end(t)
		}
	})
}

// askNever has one exchange on h with the backend o, to which a request with X-To to goes.
func askNever(t *testing.T, h *h2Conn, id, to string, o *h2Origin) {
	t.Helper()
	s := h.open()
	h.frame(http2.FrameHeaders, endHeaders, s.id, h2Block(h2Fields(":method", "POST", ":scheme", "http")), h2Never(neverAsked[:2]),
		h2Block(h2Fields(h2Case, id, h2To, to)), h2Never(neverAsked[2:]))
	s.data(false, []byte("body"))
	h.frame(http2.FrameHeaders, endStream|endHeaders, s.id, h2Block(h2Fields("x-plain", "p1")), h2Never(neverSum))
	a := s.answer()
	if got := o.of(id); !a.whole(200) || a.body != "ok" || len(got) != 1 || h2Value(got[0].fields, "x-key") != "k1" || h2Value(got[0].trailers, "x-sum") != "s1" {
		t.Fatalf("%s: %v, and the backend has %+v", id, a, got)
	} else if r := got[0]; r.stream == nil {
		if strings.Contains(r.text, "\t") || len(neverOf(s)) > 0 {
			t.Errorf("%s: the backend got %q, and the client %q as never to be indexed", id, r.text, neverOf(s))
		}
	} else {
		if got, want := neverOf(r.stream), h2Names(neverAsked, neverSum); !slices.Equal(got, want) {
			t.Errorf("%s: the backend got %q as never to be indexed, want %q", id, got, want)
		}
		if got, want := neverOf(s), h2Names(neverHints, neverAnswered, neverEnd); !slices.Equal(got, want) {
			t.Errorf("%s: the client got %q as never to be indexed, want %q", id, got, want)
		}
	}
}

// TestNeverIndexedFromHTTP1: HTTP/1 cannot say so, and a tab in its fields does not.
func TestNeverIndexedFromHTTP1(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", answerNever)
		for _, to := range []string{"h2c", "h2"} {
			c, err := net.Dial("tcp", l.clear)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(testkit.Patience))
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost:\ta.test\r\nX-Case: %[1]s\r\nX-To: %[1]s\r\nX-Key:\tk1\r\nTransfer-Encoding: chunked\r\n\r\n"+
				"4\r\nbody\r\n0\r\nX-Sum:\ts1\r\n\r\n", to)
			in := bufio.NewReader(c)
			answer, err := http.ReadResponse(in, nil)
			for err == nil && answer.StatusCode < 200 {
				answer, err = http.ReadResponse(in, nil)
			}
			got := l.origins[to].of(to)
			if err != nil || answer.Header.Get("X-Token") != "t1" || len(got) != 1 || h2Value(got[0].trailers, "x-sum") != "s1" {
				t.Fatalf("%s: %v, %v, and the backend has %+v", to, answer, err, got)
			}
			if never := neverOf(got[0].stream); len(never) > 0 {
				t.Errorf("%s: the backend got %q as never to be indexed", to, never)
			}
		}
	})
}
