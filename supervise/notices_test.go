package supervise

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// A lone backend, which is never ejected, that refuses connections: a line in the log says
// so, with the cause in words, and so does status. A request that lb refuses has a line with
// its reason and an example.
func TestFaultsAreTold(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		refusing := testkit.RefusingAddr(t)
		b, err := config.ParseBackend(refusing)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Pools[0].Backends = []config.Backend{b}
		log := &testkit.Log{}
		in := serve(t, cfg, Options{Log: NewLog(log, "info")})
		for _, tc := range []struct{ request, status, line string }{
			{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "502", `msg="backend fails" pool=default backend=` + refusing + ` cause=connect count=`},
			{"GET /x\ty HTTP/1.1\r\nHost: a\r\n\r\n", "400", `msg="requests refused" status=400 reason="invalid request target" count=1 since=`},
			{"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "501", `client=127.0.0.1 request="CONNECT a:1 HTTP/1.1"`},
			{"GET http://u:hidden@a.test/?token=hidden HTTP/1.1\r\nHost: a.test\r\n\r\n", "400", `request="GET http://***@a.test/?token=***"`},
		} {
			if got := sendRaw(t, in.addr, tc.request); !strings.HasPrefix(got, "HTTP/1.1 "+tc.status) {
				t.Errorf("%q: %q", tc.request, got)
			}
			testkit.Until(t, tc.line, func() bool { return strings.Contains(log.String(), tc.line) })
		}
		if strings.Contains(log.String(), "hidden") {
			t.Errorf("the log has a credential: %s", log)
		}
		got := in.control.Status().Pools[0].Backends[0]
		if got.LastFault != "connection refused" || got.LastFaultAt.IsZero() || got.Requests != 0 || got.Attempts == 0 {
			t.Errorf("status has %+v", got)
		}
	})
}

// sendRaw returns the answer to a request, to the end of the connection.
func sendRaw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, request)
	c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
