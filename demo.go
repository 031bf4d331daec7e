package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"lb/backends"
)

// demoPorts are those that lb forwards to when it is told nothing else.
var demoPorts = []int{9001, 9002}

// demoServers are running demo backends.
type demoServers []*backends.Server

// startDemo starts the demo backends on demoPorts or, where one is taken, on a
// port that is free.
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

// addrs returns where they listen, as -b takes it.
func (d demoServers) addrs() []string {
	out := make([]string, len(d))
	for i, s := range d {
		out[i] = s.Addr()
	}
	return out
}

// printDemo tells what to curl. addr is where lb listens, adminAddr, which may
// be nil, where its operator looks.
func printDemo(w io.Writer, servers demoServers, addr string, adminAddr net.Addr) {
	fmt.Fprintf(w, "Demo: %s forwards to", addr)
	for _, a := range servers.addrs() {
		fmt.Fprintf(w, " %s", a)
	}
	base := "http://" + reachable(addr)
	fmt.Fprintf(w, "\nTry:\n")
	for _, path := range []string{"/", "/bytes/1000", "/chunked/1000", "/delay/250ms", "/status/404"} {
		fmt.Fprintf(w, "  curl -i %s%s\n", base, path)
	}
	fmt.Fprintf(w, "  curl -d hello %s/echo\n", base)
	if adminAddr != nil {
		fmt.Fprintf(w, "  curl http://%s/metrics\n", reachable(adminAddr.String()))
	}
	fmt.Fprintf(w, "Ctrl-C ends it.\n")
}

// reachable turns "every address" into one that a client on this machine can use.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip, parseErr := netip.ParseAddr(host); err != nil || parseErr != nil || !ip.IsUnspecified() {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}
