// Package consul reads one key of Consul's KV store, and follows it by blocking queries. It
// does not know what is in the value.
//
// It speaks HTTP by itself: one request, with the rules of Consul's documentation of blocking
// queries, is less than the client of Consul brings along.
package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lb/internal/storeurl"
	"lb/supervise/discover/pace"
	"lb/supervise/store"
)

const (
	// readTimeout is how long an answer may take that is not waited for.
	readTimeout = 5 * time.Second
	// waitMax is how long a blocking query waits. Consul adds up to a sixteenth of it.
	waitMax = 5 * time.Minute
	// valueMax is the longest answer. Consul's own limit of a value is 512 KiB.
	valueMax = 4 << 20
	// queryEvery is the least time between two queries, for an agent that answers at once.
	queryEvery = 100 * time.Millisecond
)

// Params are the parameters of a URL beside those of storeurl.
var Params = []string{"dc", "ns", "partition"}

// Store is one key of Consul.
type Store struct {
	url  storeurl.URL
	key  string
	wait time.Duration
	base time.Duration // of the back-off; 0: that of pace
}

// New returns the Store at u.
func New(u storeurl.URL) *Store {
	return &Store{url: u, key: strings.TrimLeft(u.Key, "/"), wait: waitMax}
}

// Read returns what the key has now.
func (s *Store) Read(ctx context.Context) (store.Value, error) {
	c, err := s.client()
	if err != nil {
		return store.Value{}, err
	}
	defer c.CloseIdleConnections()
	v, _, err := s.ask(ctx, c, 0)
	return v, err
}

// Follow reports what the key has, whenever that changes, until ctx is done, or why that is
// not known at the moment. It tries again by itself.
func (s *Store) Follow(ctx context.Context, report func(store.Value, error)) {
	back := pace.Backoff{Min: s.base, Max: 64 * s.base}
	var c *http.Client
	index := uint64(0)
	for ctx.Err() == nil {
		var err error
		if c == nil {
			c, err = s.client()
		}
		var v store.Value
		next := uint64(0)
		if err == nil {
			v, next, err = s.ask(ctx, c, index)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			report(store.Value{}, err)
			if c != nil { // the next one reads the files of the URL again
				c.CloseIdleConnections()
				c = nil
			}
			index = 0 // what is there by then is new, whatever its index
			back.Wait(ctx)
		default:
			back.Reset()
			if next != index { // else the wait was over without a change
				report(v, nil)
			}
			if index = next; next < 1 {
				index = 1 // 0 would not wait
			}
			pace.Sleep(ctx, queryEvery)
		}
	}
	if c != nil {
		c.CloseIdleConnections()
	}
}

// client returns a client for the agent. It uses no proxy of the environment.
func (s *Store) client() (*http.Client, error) {
	tls, err := store.TLS(s.url)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: tls, ResponseHeaderTimeout: s.wait + s.wait/16 + readTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// ask asks all hosts in turn until one answers: at once with index 0, else when the key has
// another one. next is the index to ask with after that: 0 if the one of the agent has gone
// back, as it does when its data is restored.
func (s *Store) ask(ctx context.Context, c *http.Client, index uint64) (v store.Value, next uint64, err error) {
	for _, host := range s.url.Hosts {
		if v, next, err = s.askOne(ctx, c, host, index); err == nil || ctx.Err() != nil {
			break
		}
	}
	if next < index {
		next = 0
	}
	return v, next, err
}

func (s *Store) askOne(ctx context.Context, c *http.Client, host string, index uint64) (v store.Value, next uint64, err error) {
	limit := readTimeout
	if index > 0 {
		limit += s.wait + s.wait/16
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := s.request(ctx, host, index)
	if err != nil {
		return v, 0, err
	}
	answer, err := c.Do(r)
	if err != nil {
		return v, 0, plain(host, limit, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, valueMax+1))
	if err != nil {
		return v, 0, plain(host, limit, err)
	}
	next, _ = strconv.ParseUint(answer.Header.Get("X-Consul-Index"), 10, 64)
	switch {
	case answer.StatusCode == http.StatusNotFound && answer.Header.Get("X-Consul-Index") != "":
		return store.Value{}, next, nil
	case answer.StatusCode != http.StatusOK:
		return v, 0, fmt.Errorf("consul at %s: status %d %s", host, answer.StatusCode, firstLine(body))
	case len(body) > valueMax:
		return v, 0, fmt.Errorf("consul at %s: the value is longer than %d bytes", host, valueMax)
	}
	v, err = parse(body)
	if err != nil {
		return v, 0, fmt.Errorf("consul at %s: %w", host, err)
	}
	return v, next, nil
}

// request returns the request for the key.
func (s *Store) request(ctx context.Context, host string, index uint64) (*http.Request, error) {
	u := url.URL{Scheme: "http", Host: host, Path: "/v1/kv/" + s.key}
	if s.url.TLS {
		u.Scheme = "https"
	}
	query := url.Values{}
	for _, name := range Params {
		if text := s.url.Query.Get(name); text != "" {
			query.Set(name, text)
		}
	}
	if index > 0 {
		query.Set("index", strconv.FormatUint(index, 10))
		query.Set("wait", s.wait.String())
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	token, err := store.Secret(s.url)
	if token != "" {
		r.Header.Set("X-Consul-Token", token)
	}
	if s.url.User != "" { // of a proxy before Consul, which has no users itself
		r.SetBasicAuth(s.url.User, s.url.Password)
		r.Header.Del("X-Consul-Token")
	}
	return r, err
}

// parse reads the answer about one key.
func parse(body []byte) (v store.Value, err error) {
	var list []struct {
		Value       []byte
		ModifyIndex uint64
	}
	if err := json.Unmarshal(body, &list); err != nil || len(list) != 1 {
		return v, errors.New("the answer is not that of the KV store; see the port in the URL")
	}
	return store.Value{Data: list[0].Value, Found: true, Revision: list[0].ModifyIndex}, nil
}

// plain returns err, of the HTTP client, without the URL.
func plain(host string, limit time.Duration, err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in %v", limit)
	}
	return fmt.Errorf("consul at %s: %w", host, err)
}

// firstLine returns the beginning of what an agent says of a request that it refuses.
func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line[:min(len(line), 200)]
}
