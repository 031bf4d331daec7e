package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"lb/backends"
	"lb/bench"
	"lb/bench/relay"
)

// The first argument of a child that is the command itself: its part.
const (
	asLoad     = "as-load"
	asBackends = "as-backends"
	asRelay    = "as-relay"
	asFlood    = "as-flood"
)

// helper runs the part that argv names. asked is false if argv names none.
func helper(ctx context.Context, argv []string) (asked bool, err error) {
	if len(argv) == 0 {
		return false, nil
	}
	switch argv[0] {
	case asLoad:
		return true, runLoad(ctx, os.Stdin, os.Stdout)
	case asBackends:
		return true, runBackends(ctx, argv[1:])
	case asRelay:
		return true, runRelay(ctx, argv[1:])
	case asFlood:
		return true, runFlood(ctx, argv[1:])
	}
	return false, nil
}

// runLoad reads a load from in, runs it and writes the result to out.
func runLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	var l load
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return err
	}
	o := bench.Options{
		URL: l.URL, Addrs: l.Addrs, Conns: l.Conns, Requests: l.Requests, Duration: l.Duration, Rate: l.Rate,
		Fields: l.Fields, BodyBytes: l.BodyBytes, NewConnPerRequest: l.Close, Verify: l.Verify,
		Loops: runtime.GOMAXPROCS(0), // the CPUs that this process is pinned to
	}
	if l.TLS != "" {
		o.TLS, o.Resume = clientTLS(l.TLS), l.Resume
	}
	result, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if t := result.TLS; t != nil && l.Resume && t.Resumed+int64(l.Conns) < t.Handshakes {
		return fmt.Errorf("only %d of %d sessions were resumed", t.Resumed, t.Handshakes)
	}
	return json.NewEncoder(out).Encode(result)
}

// runBackends runs the backends until ctx ends: at one port of every loopback
// address, or on unix sockets. argv is "port" or "path,path,...".
func runBackends(ctx context.Context, argv []string) error {
	if len(argv) != 1 {
		return fmt.Errorf("%s: want a port or paths", asBackends)
	}
	if _, err := strconv.ParseUint(argv[0], 10, 16); err == nil {
		ln, err := listen(ctx, "tcp4", net.JoinHostPort("0.0.0.0", argv[0]), loopbackOnly)
		if err != nil {
			return err
		}
		s, err := backends.Start(backends.Options{Listener: ln, Name: "backend"})
		if err != nil {
			return err
		}
		defer s.Close()
		<-ctx.Done()
		return nil
	}
	for path := range strings.SplitSeq(argv[0], ",") {
		s, err := backends.Start(backends.Options{Addr: "unix:" + path, Name: filepath.Base(path)})
		if err != nil {
			return err
		}
		defer s.Close()
		if err := os.Chmod(path, 0o777); err != nil { // nginx may run as another user
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// runRelay runs the relay until ctx ends. argv is its loops, port and backends.
func runRelay(ctx context.Context, argv []string) error {
	if len(argv) != 3 {
		return fmt.Errorf("%s: want a number of loops, a port and backends", asRelay)
	}
	loops, err := strconv.Atoi(argv[0])
	if err != nil {
		return err
	}
	for range loops {
		ln, err := listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", argv[1]), sharePort)
		if err != nil {
			return err
		}
		r, err := relay.Start(relay.Options{Listener: ln, Backends: strings.Split(argv[2], ",")})
		if err != nil {
			return err
		}
		defer r.Close()
	}
	<-ctx.Done()
	return nil
}

// listen opens a listening socket and calls option on it before it is bound.
func listen(ctx context.Context, network, addr string, option func(fd uintptr) error) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) (err error) {
		if cerr := rc.Control(func(fd uintptr) { err = option(fd) }); cerr != nil {
			return cerr
		}
		return err
	}}
	return lc.Listen(ctx, network, addr)
}
