package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"lb/admin/api"
	"lb/admin/rest"
	"lb/internal/unixsock"
)

// How long a client waits for an answer, which is longer than a working lb needs.
// It answers within a second, even if only to say that it is busy. A reload waits for
// name servers, then for the loops, and names the loops that have not taken it up.
const (
	answerTimeout  = 1500 * time.Millisecond
	reloadTimeout  = 3 * time.Second
	upgradeTimeout = api.UpgradeMax + 2*time.Second
	answerMax      = 64 << 20 // bytes: enough for a status of every backend that lb can have
)

// Client sends commands to the lb that listens on a unix socket. Any goroutine may
// call its methods. They return a *NoAnswerError if no answer came in time. If lb
// refused, the error has lb's words, and errors.As finds config.Errors in it if a
// file was refused.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the socket at path. It keeps no connection between
// commands.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", unixsock.Name(path))
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{path, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, CheckRedirect: stay}}
}

// NoAnswerError says why there was no answer from lb.
type NoAnswerError struct {
	Path    string
	Late    time.Duration // how long the client waited; 0: lb was not reached
	Changes bool          // the command was a change, which lb may still make if it is Late
	Err     error         // why lb was not reached
}

// Error returns one line for the operator.
func (e *NoAnswerError) Error() string {
	switch {
	case e.Late > 0 && e.Changes:
		return fmt.Sprintf("the lb at %s has not answered for %v; it may still do what it was asked for", e.Path, e.Late)
	case e.Late > 0:
		return fmt.Sprintf("the lb at %s has not answered for %v: it hangs, or the system is very busy", e.Path, e.Late)
	case errors.Is(e.Err, fs.ErrNotExist):
		return fmt.Sprintf("no lb answers at %s: there is no such socket", e.Path)
	case errors.Is(e.Err, syscall.ECONNREFUSED), errors.Is(e.Err, syscall.ENOTSOCK): // of a file, by the system
		if info, err := os.Stat(e.Path); err == nil && info.Mode().Type() != fs.ModeSocket {
			return fmt.Sprintf("no lb answers at %s: that is no socket", e.Path)
		}
		return fmt.Sprintf("no lb answers at %s: it has ended and its socket is left", e.Path)
	case errors.Is(e.Err, fs.ErrPermission):
		return fmt.Sprintf("no lb answers at %s: permission denied; be the user that it runs as", e.Path)
	case errors.Is(e.Err, io.EOF):
		return fmt.Sprintf("no lb answers at %s: the connection was closed without an answer", e.Path)
	}
	return fmt.Sprintf("no lb answers at %s: %v", e.Path, reason(e.Err))
}

// Unwrap returns why lb was not reached.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// Reach returns nil if a process listens on the socket. It asks nothing.
func (c *Client) Reach() error {
	conn, err := net.DialTimeout("unix", unixsock.Name(c.path), dialTimeout)
	if err != nil {
		return &NoAnswerError{Path: c.path, Err: err}
	}
	return conn.Close()
}

// Status asks for the status of lb.
func (c *Client) Status() (s api.Status, err error) {
	err = c.ask("GET", "/v1/status", answerTimeout, nil, &s)
	return s, err
}

// Backends asks for all pools with their backends.
func (c *Client) Backends() ([]api.Pool, error) {
	var got rest.Backends
	err := c.ask("GET", "/v1/backends", answerTimeout, nil, &got)
	return got.Pools, err
}

// Reload is that of api.Control.
func (c *Client) Reload(plan bool) (done api.Reloaded, err error) {
	err = c.ask("POST", "/v1/reload", reloadTimeout, rest.ReloadAsk{Plan: plan}, &done)
	var no *refusedError
	if errors.As(err, &no) && no.Reloaded != nil {
		done = *no.Reloaded
	}
	return done, err
}

// Upgrade is that of api.Control.
func (c *Client) Upgrade(binary string) (done api.Upgraded, err error) {
	err = c.ask("POST", "/v1/upgrade", upgradeTimeout, rest.UpgradeAsk{Binary: binary}, &done)
	return done, err
}

// Drain is that of api.Control.
func (c *Client) Drain() error {
	return c.ask("POST", "/v1/drain", answerTimeout, struct{}{}, &struct{}{})
}

// SetBackend is that of api.Control.
func (c *Client) SetBackend(pool, address string, action api.Action, weight int) (b api.Backend, err error) {
	err = c.ask("POST", "/v1/backends", answerTimeout, rest.BackendChange{Pool: pool, Address: address, Action: action, Weight: weight}, &b)
	return b, err
}

// refusedError is a refusal in lb's own words.
type refusedError struct{ rest.Refusal }

// Error returns these words.
func (e *refusedError) Error() string { return e.Refusal.Error }

// Unwrap returns config.Errors if a file was refused, else nil.
func (e *refusedError) Unwrap() error {
	if len(e.Errors) == 0 {
		return nil
	}
	return e.Errors
}

// ask makes one request and reads the answer into got.
func (c *Client) ask(method, path string, timeout time.Duration, body, got any) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		sent = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://lb"+path, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.noAnswer(err, method, timeout)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return c.noAnswer(err, method, timeout)
	}
	return readAnswer(resp, text, got)
}

func (c *Client) noAnswer(err error, method string, timeout time.Duration) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &NoAnswerError{Path: c.path, Late: timeout, Changes: method != "GET", Err: err}
	}
	return &NoAnswerError{Path: c.path, Err: err}
}

// readAnswer reads an answer into got. An answer in another form comes from another
// program, or another version of lb.
func readAnswer(resp *http.Response, text []byte, got any) error {
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, got); err != nil {
			return fmt.Errorf("the answer is not understood: %w", err)
		}
		return nil
	}
	var no rest.Refusal
	if json.Unmarshal(text, &no) != nil || no.Error == "" {
		return fmt.Errorf("the answer is not understood: %s", resp.Status)
	}
	return &refusedError{no}
}
