package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"lb/admin/api"
	"lb/backends"
	"lb/config"
	"lb/supervise/localca"
)

// backendsCmd is `lb demo-backends`.
type backendsCmd struct {
	Port []int  `short:"p" placeholder:"N,..." default:"9001,9002" help:"One port for each backend; 0 means any free one. Default: 9001,9002."`
	Host string `short:"H" placeholder:"HOST" default:"127.0.0.1" help:"Name or address to listen on. Default: 127.0.0.1."`
}

// Run answers requests until a signal.
func (b *backendsCmd) Run(std *streams) error {
	for _, port := range b.Port {
		if port < 0 || port > math.MaxUint16 {
			return config.Errors{{Key: "--port", What: fmt.Sprintf("%d is out of range", port), Hint: "use 0 to 65535"}}
		}
	}
	interrupted, stop := untilSignal()
	defer stop()
	servers, err := startBackends(b.Host, b.Port)
	if err != nil {
		return err
	}
	defer servers.close()
	for _, addr := range servers.addrs() {
		fmt.Fprintf(std.out, "backend on http://%s/\n", addr)
	}
	<-interrupted.Done()
	return nil
}

// demoPorts are the ports of the backends that lb forwards to by default.
var demoPorts = []int{9001, 9002}

// demoServers are running demo backends.
type demoServers []*backends.Server

// startDemo starts the demo backends on demoPorts or, where one is taken, on a free
// port.
func startDemo() (demoServers, error) {
	var out demoServers
	for _, port := range demoPorts {
		more, err := startBackends("127.0.0.1", []int{port})
		if errors.Is(err, syscall.EADDRINUSE) {
			more, err = startBackends("127.0.0.1", []int{0})
		}
		if err != nil {
			out.close()
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// startBackends starts one demo backend for each port; all of them or none.
func startBackends(host string, ports []int) (demoServers, error) {
	var out demoServers
	for _, port := range ports {
		s, err := backends.Start(backends.Options{Addr: net.JoinHostPort(host, strconv.Itoa(port))})
		if err != nil {
			out.close()
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (d demoServers) close() {
	for _, s := range d {
		s.Close()
	}
}

// addrs returns where they listen, in the form of -b.
func (d demoServers) addrs() []string {
	out := make([]string, len(d))
	for i, s := range d {
		out[i] = s.Addr()
	}
	return out
}

// printDemo writes what to try with curl. listeners is where lb listens; adminAddr is
// where the operator's server listens, or nil if it is off.
func printDemo(w io.Writer, servers demoServers, cfg *config.Config, listeners api.Listeners, adminAddr net.Addr) {
	l := listeners[max(0, slices.IndexFunc(listeners, func(l api.Listener) bool { return l.Role != api.RoleRedirect }))]
	fmt.Fprintf(w, "Demo: %s forwards to", l.Address)
	for _, a := range servers.addrs() {
		fmt.Fprintf(w, " %s", a)
	}
	curl, base := demoURL(cfg, l)
	fmt.Fprintf(w, "\nTry:\n")
	for _, path := range []string{"/", "/bytes/1000", "/chunked/1000", "/delay/250ms", "/status/404"} {
		fmt.Fprintf(w, "  %s -i %s%s\n", curl, base, path)
	}
	fmt.Fprintf(w, "  %s -d hello %s/echo\n", curl, base)
	if adminAddr != nil {
		fmt.Fprintf(w, "  curl http://%s/metrics\n", reachable(adminAddr.String()))
		fmt.Fprintf(w, "Watch: http://%s/ in a browser, or lb top, lb faults, lb status in another terminal\n", reachable(adminAddr.String()))
	}
	fmt.Fprintf(w, "Ctrl-C ends it.\n")
}

// demoURL returns how to call curl, and the URL of lb without a path.
func demoURL(cfg *config.Config, l api.Listener) (curl, base string) {
	at := reachable(l.Address)
	if l.Role != api.RoleHTTPS {
		return "curl", "http://" + at
	}
	_, port, err := net.SplitHostPort(at)
	if names := cfg.TLS.ACME.Names; err == nil && len(cfg.TLS.Certs) == 0 && len(names) > 0 {
		host := names[0]
		if at = net.JoinHostPort(host, port); port == "443" && !strings.Contains(host, ":") {
			at = host
		}
		if !localca.Internal(host) {
			return "curl", "https://" + at
		}
		if root, err := localca.FindRoot(cfg.TLS.ACME.Storage); err == nil {
			return "curl --cacert " + shellQuoted(root.Path), "https://" + at
		}
	}
	return "curl -k", "https://" + at
}

// reachable turns "every address" into one that a client on this machine can use.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || !ip.IsUnspecified()) {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}
