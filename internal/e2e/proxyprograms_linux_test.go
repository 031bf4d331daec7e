package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// HAProxy and nginx at the other end of the PROXY protocol.

// haproxy runs HAProxy with these sections, and returns when it serves at addr.
func haproxy(t *testing.T, dir, addr, sections string) {
	t.Helper()
	conf := filepath.Join(dir, "haproxy.cfg")
	testkit.WriteFile(t, conf, "global\n  maxconn 100\n  ssl-server-verify none\ndefaults\n  timeout connect 10s\n  timeout client 1m\n  timeout server 1m\n"+sections)
	testkit.Start(t, exec.Command("haproxy", "-db", "-f", conf))
	untilServes(t, addr)
}

// nginxServer runs nginx with one server, and returns when it serves at addr.
func nginxServer(t *testing.T, dir, addr, server string) {
	t.Helper()
	conf := filepath.Join(dir, "nginx.conf")
	temp := ""
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%s;\n", name, dir, name)
	}
	testkit.WriteFile(t, conf, fmt.Sprintf("daemon off;\nmaster_process off;\npid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", dir, temp, server))
	testkit.Start(t, exec.Command("nginx", "-c", conf, "-p", dir, "-e", "stderr"))
	untilServes(t, addr)
}

func untilServes(t *testing.T, addr string) {
	t.Helper()
	testkit.Until(t, addr+" to be served", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// getFrom asks over a conn of its own, and returns the body, and its own address.
func getFrom(t *testing.T, addr, from, host string) (body, own string) {
	t.Helper()
	c, err := reach(t.Context(), addr, from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	own = c.LocalAddr().String()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/", nil)
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting(t)}
	tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return c, nil }
	resp, err := (&http.Client{Transport: tr, Timeout: testkit.Patience}).Do(req)
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(b)), own
}

// HAProxy sends to lb; lb sends to HAProxy and to nginx, which log the client's address and
// port as lb has it. Checks of both pass.
func TestProxyProtocolPrograms(t *testing.T) {
	installed(t, "haproxy")
	installed(t, "nginx")
	eachMode(t, func(t *testing.T, mode string) {
		dir := t.TempDir()
		front1, front2, front3, hb, nb := testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t)
		secure := testkit.FreePort(t)
		log := filepath.Join(dir, "log")
		var tables strings.Builder
		for _, v := range []string{"v1", "v2"} {
			for name, addr := range map[string]string{"haproxy": hb, "nginx": nb} {
				host, port, _ := net.SplitHostPort(addr)
				name += "-" + v + ".test"
				fmt.Fprintf(&tables, "[[pools]]\nname = %q\nsend_proxy = %q\n[pools.health]\ninterval = \"50ms\"\n[[pools.backends]]\nhost = %q\nport = %s\n[[routes]]\nhost = %q\npool = %q\n",
					name, v, host, port, name, name)
			}
		}
		fmt.Fprintf(&tables, "[access_log]\npath = %q\n", log)
		nginxServer(t, dir, nb, fmt.Sprintf("server {\nlisten %s proxy_protocol;\nlocation / { return 200 \"$proxy_protocol_addr:$proxy_protocol_port\"; }\n}\n", nb))
		haproxy(t, dir, hb, fmt.Sprintf("frontend f\n  mode http\n  bind %s accept-proxy\n  http-request return status 200 content-type text/plain lf-string %%[src]:%%[src_port]\n", hb))
		s := setup{admin: true, backends: to(serve(t, origins)), keys: "trusted_proxies = [\"127.0.0.1\"]\n", tables: tables.String(),
			listeners: []string{"127.0.0.1:0\nproxy_protocol = true\n", secure + "\nproxy_protocol = true\ntls = true\n"}}
		p := start(t, mode, s.withCert(t, dir))
		in := t.TempDir()
		haproxy(t, in, front1, fmt.Sprintf(`listen a
  mode tcp
  bind %s
  server lb %s send-proxy check check-send-proxy inter 100ms
listen b
  mode tcp
  bind %s
  server lb %s send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl check check-send-proxy inter 100ms
  unique-id-format id-%%ci
listen c
  mode tcp
  bind %s
  tcp-request inspect-delay 5s
  tcp-request content accept if { req_ssl_hello_type 1 }
  server lb %s send-proxy-v2 proxy-v2-options authority,crc32c
`, front1, p.addr, front2, p.addr, front3, secure))
		for _, front := range []string{front1, front2} {
			body, _ := getFrom(t, front, "127.0.0.9", "x.test")
			if body != "127.0.0.9 http" {
				t.Errorf("by HAProxy: %q", body)
			}
			for _, v := range []string{"v1", "v2"} {
				for _, name := range []string{"haproxy", "nginx"} {
					if body, own := getFrom(t, front, "127.0.0.9", name+"-"+v+".test"); body != own {
						t.Errorf("from HAProxy to %s with %s: %q, want %q", name, v, body, own)
					}
				}
			}
		}
		c := proxiedClientOf(t, front3, "127.0.0.9", nil, false, http1)
		wantAnswer(t, "TLS through HAProxy", c, "https://localhost/", "200 127.0.0.9 https")
		testkit.Until(t, "the log to have the id", func() bool {
			b, _ := os.ReadFile(log)
			return strings.Contains(string(b), `"unique_id":"id-127.0.0.9"`)
		})
		l := &proxiedLab{process: p}
		for _, reason := range []string{"untrusted", "malformed", "cut", "timeout"} {
			if n := l.refused(t, reason); n != "0" {
				t.Errorf("%s conns were refused: %s", n, reason)
			}
		}
		if strings.Contains(p.Log.String(), "backend down") {
			t.Error("a check has failed")
		}
	})
}
