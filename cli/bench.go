package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lb/backends"
	"lb/bench"
)

// benchCmd is `lb bench`.
type benchCmd struct {
	URL string `arg:"" help:"URL to request, http or https; http:// may be left out."`

	Conns         int           `short:"c" default:"200" placeholder:"N" help:"Number of open connections. Default: 200."`
	Requests      int64         `short:"n" placeholder:"N" help:"Number of requests. Default: 100000, or no limit with --duration."`
	Duration      time.Duration `short:"d" placeholder:"TIME" help:"How long to measure, such as 10s. With --requests, whichever ends first."`
	Rate          float64       `short:"r" placeholder:"N" help:"Start this many requests per second, whether answers come or not; latency counts from the planned start. Default: 0, the next request after each answer."`
	Pipeline      int           `default:"1" placeholder:"N" help:"Requests that wait for an answer on each connection. Default: 1."`
	HTTP2         bool          `name:"http2" help:"Speak HTTP/2: by ALPN over TLS, else by prior knowledge."`
	Streams       int           `short:"m" default:"1" placeholder:"N" help:"With --http2, requests that wait for an answer on each connection. Default: 1."`
	Method        string        `short:"X" placeholder:"NAME" help:"Method of the requests. Default: GET, or POST with a body."`
	Header        []string      `short:"H" sep:"none" placeholder:"NAME: VALUE" help:"Header field to send; may be repeated."`
	BodyBytes     int           `xor:"body" placeholder:"N" help:"Send a body of this many bytes."`
	BodyFile      string        `xor:"body" placeholder:"FILE" help:"Send this file as the body."`
	Connect       []string      `sep:"none" placeholder:"ADDRESS" help:"Connect to host:port or unix:/path instead of the URL's host; may be repeated."`
	Close         bool          `help:"Open a new connection for each request; latency includes the connecting."`
	Insecure      bool          `short:"k" help:"Do not verify the certificate."`
	CACert        string        `name:"cacert" placeholder:"FILE" help:"Authorities that are believed, in PEM. Default: the system's."`
	ServerName    string        `name:"server-name" placeholder:"NAME" help:"Name to ask for and to verify. Default: the URL's host."`
	TLSMax        string        `name:"tls-max" enum:",1.2,1.3" default:"" placeholder:"VERSION" help:"Highest version of TLS, 1.2 or 1.3. Default: 1.3."`
	Resume        bool          `help:"Resume the TLS session on new connections, as with --close. Default: a full handshake each."`
	Verify        bool          `xor:"verify" help:"Compare the length and checksum of every answer with the first one."`
	VerifyPattern bool          `xor:"verify" help:"Compare the length and checksum of every answer with what lb demo-backends sends for /bytes/N or /chunked/N."`
	Timeout       time.Duration `default:"10s" placeholder:"TIME" help:"Longest wait for a connection, and for each answer. Default: 10s."`
	Warmup        time.Duration `placeholder:"TIME" help:"Send requests for this long before measuring. Default: 0s."`
	Loops         int           `placeholder:"N" help:"Number of event loops; 0 means one for each CPU that this process may use. Default: 0."`
	JSON          bool          `name:"json" help:"Print the result as JSON."`
}

// Run measures until everything asked for is done, or a signal.
func (b *benchCmd) Run(std *streams) error {
	o, err := b.options()
	if err != nil {
		return err
	}
	bar := newProgressBar(std.err)
	if bar != nil {
		o.Progress = bar.show
	}
	ctx, stop := untilSignal()
	defer stop()
	result, err := bench.Run(ctx, o)
	bar.clear()
	if err != nil {
		return err
	}
	if b.JSON {
		if err := printJSON(std.out, result); err != nil {
			return err
		}
	} else {
		printResult(std.out, result)
	}
	if result.Errors.Total()+result.Backlog.Unsent > 0 {
		return exitStatus(exitFault)
	}
	return nil
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. After
// stop, these signals end the process again.
func untilSignal() (ctx context.Context, stop context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// options returns the options that the flags stand for.
func (b *benchCmd) options() (bench.Options, error) {
	o := bench.Options{
		URL: b.URL, Addrs: b.Connect, Conns: b.Conns, Requests: b.Requests, Duration: b.Duration, Rate: b.Rate,
		Pipeline: b.Pipeline, HTTP2: b.HTTP2, Streams: b.Streams, Method: b.Method, BodyBytes: b.BodyBytes, NewConnPerRequest: b.Close,
		Resume: b.Resume, Verify: b.Verify || b.VerifyPattern, Loops: b.Loops, Timeout: b.Timeout, Warmup: b.Warmup,
	}
	if o.Requests == 0 && o.Duration == 0 {
		o.Requests = 100_000
	}
	for _, line := range b.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return o, fmt.Errorf("--header: %q is not \"Name: value\"", line)
		}
		o.Fields = append(o.Fields, bench.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	var err error
	if o.TLS, err = b.tls(); err != nil {
		return o, err
	}
	if b.BodyFile != "" {
		if o.Body, err = os.ReadFile(b.BodyFile); err != nil {
			return o, err
		}
	}
	if b.VerifyPattern {
		o.Want, err = patternAnswer(b.URL)
	}
	return o, err
}

// tls returns the settings that the flags stand for, or nil for plain HTTP.
func (b *benchCmd) tls() (*tls.Config, error) {
	if !strings.HasPrefix(strings.ToLower(b.URL), "https://") {
		for _, f := range []struct {
			name string
			set  bool
		}{{"--insecure", b.Insecure}, {"--cacert", b.CACert != ""}, {"--server-name", b.ServerName != ""}, {"--tls-max", b.TLSMax != ""}, {"--resume", b.Resume}} {
			if f.set {
				return nil, fmt.Errorf("%s is for https:// URLs", f.name)
			}
		}
		return nil, nil
	}
	c := &tls.Config{InsecureSkipVerify: b.Insecure, ServerName: b.ServerName}
	if b.TLSMax == "1.2" {
		c.MaxVersion = tls.VersionTLS12
	}
	if b.CACert != "" {
		pem, err := os.ReadFile(b.CACert)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert: %s has no certificate in PEM", b.CACert)
		}
	}
	return c, nil
}

// patternAnswer returns the answer of `lb demo-backends` to target.
func patternAnswer(target string) (*bench.Answer, error) {
	path, _, _ := strings.Cut(target, "?")
	at := strings.LastIndexByte(path, '/') + 1
	size, err := strconv.ParseInt(path[at:], 10, 64)
	if err != nil || size < 0 || !strings.HasSuffix(path[:at], "/bytes/") && !strings.HasSuffix(path[:at], "/chunked/") {
		return nil, fmt.Errorf("--verify-pattern: %s does not end in /bytes/N or /chunked/N", target)
	}
	a, err := bench.AnswerOf(io.LimitReader(&patternReader{}, size))
	return &a, err
}

// patternReader reads the endless pattern of the demo backends.
type patternReader struct{ off int64 }

func (r *patternReader) Read(b []byte) (int, error) {
	backends.Pattern(b, r.off)
	r.off += int64(len(b))
	return len(b), nil
}
