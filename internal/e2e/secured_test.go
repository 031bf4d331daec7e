package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"lb/internal/testkit"
)

// The choice of the listener: the same tests, with clients that speak TLS to lb.

// secured ends the names of modes in which lb's listener speaks TLS.
const secured = "+tls"

// eachListener is eachMode, and once more with clients that speak TLS: in mt, where loops
// share what TLS needs. Under -short the clients are plain.
func eachListener(t *testing.T, f func(t *testing.T, mode string)) {
	t.Parallel()
	for _, mode := range listenerModes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f(t, mode)
		})
	}
}

// eachListenerAlone is to eachListener as eachModeAlone is to eachMode.
func eachListenerAlone(t *testing.T, f func(t *testing.T, mode string)) {
	for _, mode := range listenerModes() {
		t.Run(mode, func(t *testing.T) { f(t, mode) })
	}
}

// eachListenerProcess is eachListener with TLS in mp, too: for tests in which processes
// begin and end.
func eachListenerProcess(t *testing.T, f func(t *testing.T, mode string)) {
	t.Parallel()
	for _, mode := range append(listenerModes(), "mp"+secured) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f(t, mode)
		})
	}
}

// listenerModes returns those of eachListener.
func listenerModes() []string {
	if testing.Short() {
		return []string{"mt", "mp"}
	}
	return []string{"mt", "mp", "mt" + secured}
}

// listenerOf splits mode into the mode of lb and whether clients speak TLS.
func listenerOf(mode string) (plain string, tls bool) { return strings.CutSuffix(mode, secured) }

var authority struct {
	once sync.Once
	*testkit.CA
}

// ca is the authority of all certificates of these tests.
func ca(t testing.TB) *testkit.CA {
	authority.once.Do(func() { authority.CA = testkit.NewCA(t, "lb tests") })
	return authority.CA
}

// trusting returns the settings of a client that trusts ca.
func trusting(t testing.TB) *tls.Config {
	return &tls.Config{RootCAs: ca(t).Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"}}
}

// ownTLS finds settings of lb's own TLS; the paths of a test may have "tls" in them, too.
var ownTLS = regexp.MustCompile(`(?m)^(tls\.|\[tls[].])`)

// withCert returns s with a certificate for localhost, whose files are in dir.
func (s setup) withCert(t testing.TB, dir string) setup {
	if !ownTLS.MatchString(s.keys + s.tables) {
		cert, key := filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key")
		if _, err := os.Stat(cert); err != nil {
			ca(t).Issue(t, testkit.Leaf{Names: []string{"localhost"}, IPs: []string{"127.0.0.1"}}).Write(t, dir, "site")
		}
		s.keys += fmt.Sprintf("tls.cert = %q\ntls.key = %q\n", cert, key)
	}
	return s
}

// secureAddrs has the settings of a client for each address at which lb speaks TLS.
var secureAddrs sync.Map

// noteListener notes how lb serves at addr, until the test ends: then addr may be given to
// something else.
func noteListener(t *testing.T, addr string, tls bool) {
	if !tls {
		secureAddrs.Delete(addr)
		return
	}
	cfg := trusting(t)
	secureAddrs.Store(addr, cfg)
	t.Cleanup(func() { secureAddrs.CompareAndDelete(addr, cfg) })
}

// scheme returns that of URLs of lb at addr, http or https.
func scheme(addr string) string {
	if _, is := secureAddrs.Load(addr); is {
		return "https"
	}
	return "http"
}

// wsURL returns the beginning of WebSocket URLs of lb at addr.
func wsURL(addr string) string { return strings.Replace(scheme(addr), "http", "ws", 1) + "://" + addr }

// wsOptions lets a WebSocket trust ca.
func wsOptions(t *testing.T) *websocket.DialOptions {
	c := newClient(t)
	c.Timeout = 0 // the context has one, for the opening alone
	return &websocket.DialOptions{HTTPClient: c}
}

// connect opens a conn to lb at addr, host:port or unix:/path, over TLS if lb speaks that
// there.
func connect(addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: testkit.Patience}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return d.Dial("unix", path)
	}
	if cfg, is := secureAddrs.Load(addr); is {
		return tls.DialWithDialer(&d, "tcp", addr, cfg.(*tls.Config))
	}
	return d.Dial("tcp", addr)
}

// tcp returns the socket of c.
func tcp(c net.Conn) *net.TCPConn {
	if t, is := c.(*tls.Conn); is {
		c = t.NetConn()
	}
	return c.(*net.TCPConn)
}

// closeWrite ends our side of c, and of its TLS.
func closeWrite(c net.Conn) error {
	return c.(interface{ CloseWrite() error }).CloseWrite()
}

// overTLS has lb speak TLS to the backends.
func overTLS(addrs ...string) (list []backend) {
	for _, a := range addrs {
		list = append(list, backend{addr: a, keys: "tls = true\n"})
	}
	return list
}

// backendTLS are the settings with the authority of these tests, in dir.
func backendTLS(t *testing.T, dir string, more string) string {
	return fmt.Sprintf("[backend_tls]\nca = %q\nserver_name = \"localhost\"\n%s", ca(t).Write(t, dir, "backends"), more)
}

func named(t *testing.T) *testkit.Pair {
	return ca(t).Issue(t, testkit.Leaf{Names: []string{"localhost"}})
}
