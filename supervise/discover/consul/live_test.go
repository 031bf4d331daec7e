package consul

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// TestConsul asks Consul itself, where there is one: LB_CONSUL is the path of its program.
// Debian has none, so everywhere else the recorded answers have to do.
func TestConsul(t *testing.T) {
	program := os.Getenv("LB_CONSUL")
	if program == "" {
		t.Skip("set LB_CONSUL to the path of Consul's program")
	}
	port := func() string {
		_, port, _ := net.SplitHostPort(testkit.FreePort(t))
		return port
	}
	a := &agent{addr: "127.0.0.1:" + port()}
	_, at, _ := net.SplitHostPort(a.addr)
	testkit.Start(t, exec.Command(program, "agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", at,
		"-server-port", port(), "-serf-lan-port", port(), "-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1"))
	put := func(path, body string) bool {
		req, _ := http.NewRequest(http.MethodPut, "http://"+a.addr+path, strings.NewReader(body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	register := func(id, address string) func() bool {
		return func() bool {
			return put("/v1/agent/service/register", `{"ID":"`+id+`","Name":"web","Address":"`+address+`","Port":80,"Weights":{"Passing":7,"Warning":1},"Check":{"CheckID":"c`+id+`","TTL":"10m","Status":"passing"}}`)
		}
	}
	testkit.Until(t, "Consul to register a service", register("1", "10.0.0.1"))
	reports := run(t, start(t, a, "", &testkit.Log{}))
	until := func(want string) {
		t.Helper()
		for {
			if got := testkit.Wait(t, reports, want); got == want {
				return
			}
		}
	}
	until("10.0.0.1:80*7 ")
	register("2", "")()
	until("10.0.0.1:80*7 127.0.0.1:80*7 ")
	put("/v1/agent/check/fail/c1", "")
	until("127.0.0.1:80*7 ")
	put("/v1/agent/service/deregister/2", "")
	until("")
	register("3", "10.0.0.3")()
	until("10.0.0.3:80*7 ")
}
