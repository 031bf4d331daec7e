package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lb/bench"
)

// h2transport returns a transport that speaks HTTP/2 alone: over TLS by ALPN, else by prior
// knowledge.
func h2transport(secure bool) *http.Transport {
	t := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	if !secure {
		t.Protocols.SetUnencryptedHTTP2(true)
		return t
	}
	t.Protocols.SetHTTP2(true)
	t.TLSClientConfig = clientTLS("1.3")
	t.TLSClientConfig.NextProtos = []string{"h2"}
	return t
}

// scheme returns the scheme of URLs of t.
func (t *target) scheme() string {
	if t.tls {
		return "https"
	}
	return "http"
}

// dialH2 opens a conn that speaks HTTP/2.
func dialH2(ctx context.Context, t target) (*http.ClientConn, error) {
	return h2transport(t.tls).NewClientConn(ctx, t.scheme(), t.addrs[0])
}

// exchangeH2 makes one request on c and reads the answer.
func exchangeH2(ctx context.Context, c *http.ClientConn, t target) error {
	r, err := http.NewRequestWithContext(ctx, "GET", t.scheme()+"://"+t.host+"/bytes/1", nil)
	if err != nil {
		return err
	}
	answer, err := c.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || string(body) != "\x00" || answer.ProtoMajor != 2) {
		err = fmt.Errorf("answers %s %d %q", answer.Proto, answer.StatusCode, body)
	}
	return err
}

// askH2 makes one request to t.
func askH2(t target) error {
	ctx, stop := context.WithTimeout(context.Background(), readyTimeout)
	defer stop()
	c, err := dialH2(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close()
	return exchangeH2(ctx, c, t)
}

// grpcMessage is the payload of a unary call in bytes: a length-prefixed message (gRPC over
// HTTP/2, Length-Prefixed-Message).
const grpcMessage = 100

// grpcBody writes the body of a unary call to a file in dir, for h2load.
func grpcBody(dir string) (file string, err error) {
	file = filepath.Join(dir, "grpc-message")
	body := append([]byte{0, 0, 0, 0, grpcMessage}, make([]byte, grpcMessage)...)
	return file, os.WriteFile(file, body, 0o644)
}

// runH2load runs a load of HTTP/2 on t, by h2load.
func (r *rig) runH2load(ctx context.Context, t target, l load) (*bench.Result, error) {
	// A line for each request: not where lb keeps its configuration, which it watches.
	dir, err := os.MkdirTemp(r.launcher.dir, "h2load-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "log")
	argv := []string{r.programs.h2load, "--threads=1", fmt.Sprintf("--clients=%d", l.Conns), fmt.Sprintf("--max-concurrent-streams=%d", l.Streams),
		fmt.Sprintf("--duration=%dms", l.Duration.Milliseconds()), "--log-file=" + log, "--tls13-ciphers=TLS_AES_128_GCM_SHA256"}
	for _, f := range l.Fields {
		argv = append(argv, "--header="+f.Name+": "+f.Value)
	}
	if l.GRPC {
		file, err := grpcBody(dir)
		if err != nil {
			return nil, err
		}
		argv = append(argv, "--data="+file, "--header=content-type: application/grpc", "--header=te: trailers")
	}
	argv = append(argv, t.scheme()+"://"+t.addrs[0]+l.Path)
	limited, stop := context.WithTimeout(ctx, l.Duration+h2loadSlack)
	defer stop()
	out, err := r.launcher.output(limited, r.cores.Load, strings.NewReader(""), argv...)
	if limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w in time: it has not ended %v late", errNoAnswers, h2loadSlack)
	}
	if err != nil {
		return nil, fmt.Errorf("h2load on %s: %w", t.name, err)
	}
	result, err := parseH2load(string(out))
	if err != nil {
		return nil, fmt.Errorf("h2load on %s: %w; it says: %s", t.name, err, out)
	}
	file, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	result.Throughput = float64(result.Answers) / l.Duration.Seconds()
	return result, readLatencies(file, result.Latency)
}

// h2loadSlack is how much longer than it should h2load may run. One whose client has connected
// only after the time was up, on a busy machine, never ends.
const h2loadSlack = 15 * time.Second

// errNoAnswers is the fault of a run that was too short for an answer.
var errNoAnswers = errors.New("no answers")

var (
	h2loadRequests = regexp.MustCompile(`(?m)^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadProtocol = regexp.MustCompile(`(?m)^(?:Application protocol: (\S+))`)
)

// parseH2load reads what h2load has printed.
func parseH2load(text string) (*bench.Result, error) {
	m := h2loadRequests.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("no count of requests")
	}
	if p := h2loadProtocol.FindStringSubmatch(text); p == nil || !strings.HasPrefix(p[1], "h2") {
		return nil, fmt.Errorf("no HTTP/2")
	}
	var n [4]int64
	for i := range n {
		n[i], _ = strconv.ParseInt(m[i+1], 10, 64)
	}
	result := &bench.Result{Requests: n[0] + n[1] + n[2] + n[3], Answers: n[0], Latency: bench.NewLatency()}
	result.Errors.Status, result.Errors.Reset, result.Errors.Timeout = n[1], n[2], n[3]
	if result.Answers == 0 {
		return nil, errNoAnswers
	}
	return result, nil
}

// readLatencies reads the log of h2load: for each answer its start, its status, and how long
// it took, in microseconds.
func readLatencies(log io.Reader, into bench.Latency) error {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), '\t')
		us, err := strconv.ParseInt(lines.Text()[at+1:], 10, 64)
		if err != nil {
			return fmt.Errorf("the log of h2load: %w", err)
		}
		into.RecordValue(us * int64(time.Microsecond))
	}
	return lines.Err()
}

// openStreams is how many streams each conn of h2-streams has.
const openStreams = 100

// beginStreams begins requests on c whose answers do not come.
func beginStreams(ctx context.Context, c *http.ClientConn, t target) error {
	if err := exchangeH2(ctx, c, t); err != nil {
		return err
	}
	for range openStreams {
		r, err := http.NewRequestWithContext(ctx, "GET", t.scheme()+"://"+t.host+"/delay/1h", nil)
		if err != nil {
			return err
		}
		go func() {
			if answer, err := c.RoundTrip(r); err == nil {
				answer.Body.Close()
			}
		}()
	}
	return nil
}

// h2Scenarios returns the cases of HTTP/2 from clients, by get.
func h2Scenarios(get func(name, about, path string, conns int) scenario) (all []scenario) {
	add := func(group, name, about, path string, conns, streams int, to setting) *scenario {
		s := get(group, fmt.Sprintf("HTTP/2 from clients, %s, %d conns with %d streams each", about, conns, streams), path, conns)
		s.name, s.setting, s.load.Streams = name, to, streams
		s.without = []string{"relay"}
		if to.tls {
			s.without = append(s.without, "direct")
			s.load.TLS = "1.3"
		}
		all = append(all, s)
		return &all[len(all)-1]
	}
	shapes := []struct {
		name           string
		conns, streams int
	}{{"16x16", 16, 16}, {"1x100", 1, 100}}
	plain, secure, both := one, one, one
	plain.h2, secure.h2, secure.tls, both.h2, both.h2c = true, true, true, true, true
	for _, to := range []setting{plain, secure} {
		prefix, about := "h2-", ""
		if to.tls {
			prefix, about = "h2-tls-", "over TLS 1.3, "
		}
		for _, sh := range shapes {
			add("h2", prefix+sh.name, about+"128 B answers", "/bytes/128", sh.conns, sh.streams, to)
		}
		for _, sh := range shapes {
			add("h2", prefix+sh.name+"-64k", about+"64 KiB answers", "/bytes/65536", sh.conns, sh.streams, to)
		}
	}
	for _, sh := range shapes {
		add("h2c", "h2c-"+sh.name, "HTTP/2 to backends, 128 B answers", "/bytes/128", sh.conns, sh.streams, both)
		add("h2c", "h2c-grpc-"+sh.name, fmt.Sprintf("HTTP/2 to backends, unary gRPC calls of %d bytes", grpcMessage), "/bench.Service/Echo", sh.conns, sh.streams, both).load.GRPC = true
	}
	for _, name := range []string{"h2-idle", "h2-streams"} {
		s := add("h2", name, "", "", 0, 0, secure)
		s.hold, s.kind, s.fresh = name, heldConns, name
	}
	return all
}
