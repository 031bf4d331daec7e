// Package etcd reads keys of etcd, and follows them by a watch. It does not know what is in
// the values.
package etcd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/status"

	"lb/internal/storeurl"
	"lb/supervise/discover/pace"
	"lb/supervise/store"
)

const (
	// readTimeout is how long one read may take.
	readTimeout = 5 * time.Second
	// pingEvery and pingTimeout find a server that no longer answers. etcd refuses pings
	// that come more often than every 5 s.
	pingEvery   = 10 * time.Second
	pingTimeout = 3 * time.Second
	// lookEvery is how often the store is asked whether it is still the same: a watch at
	// another cluster in its place would say nothing.
	lookEvery = time.Minute
	// emptyEvery is how often a store without the key is read again. It is above the 10 s
	// that discovery wants between two empty answers.
	emptyEvery = 10500 * time.Millisecond
	// gather is how long changes are put together for one report.
	gather = 50 * time.Millisecond
)

func init() {
	// gRPC writes to standard error, between lb's lines. What it knows is in the errors, too.
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" {
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	}
}

// Pair is a key and its value.
type Pair struct {
	Key      string
	Value    []byte
	Revision int64 // of the store when the value was written
}

// View is what the store had at one revision.
type View struct {
	Pairs    []Pair // by key
	Revision int64
}

// Store is one key of etcd, or all that begin with it.
type Store struct {
	url    storeurl.URL
	prefix bool
}

// New returns the Store at u. prefix says that it is all keys that begin with the one of u.
func New(u storeurl.URL, prefix bool) *Store { return &Store{u, prefix} }

// keys returns the keys under which to look: many tools begin all keys with a slash, which a
// URL does not show.
func (s *Store) keys() []string {
	if strings.HasPrefix(s.url.Key, "/") {
		return []string{s.url.Key}
	}
	return []string{s.url.Key, "/" + s.url.Key}
}

// Read returns what the store has now.
func (s *Store) Read(ctx context.Context) (View, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return View{}, s.plain(err)
	}
	defer c.Close()
	r, err := s.read(ctx, c)
	return r.view(), s.plain(err)
}

// dial returns a client. It does not wait for a connection unless there is a user.
func (s *Store) dial(ctx context.Context) (*clientv3.Client, error) {
	password, err := store.Secret(s.url)
	if err != nil {
		return nil, err
	}
	o := clientv3.Config{
		DialTimeout: readTimeout, DialKeepAliveTime: pingEvery, DialKeepAliveTimeout: pingTimeout,
		Username: s.url.User, Password: password, Context: ctx, Logger: zap.NewNop(),
		// The library would hide why no server can be reached until the time is over.
		MaxUnaryRetries: 3, DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(atOnce)},
	}
	if o.TLS, err = store.TLS(s.url); err != nil {
		return nil, err
	}
	scheme := "http://"
	if s.url.TLS {
		scheme = "https://"
	}
	for _, host := range s.url.Hosts {
		o.Endpoints = append(o.Endpoints, scheme+host)
	}
	return clientv3.New(o)
}

// atOnce has a call fail while no server can be reached.
func atOnce(ctx context.Context, method string, req, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, c, append(opts, grpc.WaitForReady(false))...)
}

// state is what is known of the store.
type state struct {
	pairs    []Pair // by key
	revision int64
	cluster  uint64
	keys     []string // those to watch
}

// view returns a copy for others.
func (r *state) view() View { return View{Revision: r.revision, Pairs: slices.Clone(r.pairs)} }

// set puts p in the place of what the key has; without keep the key goes.
func (r *state) set(p Pair, keep bool) {
	at, found := slices.BinarySearchFunc(r.pairs, p.Key, func(a Pair, key string) int { return cmp.Compare(a.Key, key) })
	switch {
	case found && keep:
		r.pairs[at] = p
	case found:
		r.pairs = slices.Delete(r.pairs, at, at+1)
	case keep:
		r.pairs = slices.Insert(r.pairs, at, p)
	}
}

// read returns what is below the first of keys that has something. If none has, all are to
// be watched. A user often may read one of them only.
func (s *Store) read(ctx context.Context, c *clientv3.Client) (r state, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var refused error
	for _, key := range s.keys() {
		got, err := c.Get(ctx, key, s.options()...)
		if status.Code(err) == codes.PermissionDenied {
			refused = err
			continue
		}
		if err != nil {
			return r, err
		}
		r.revision, r.cluster = got.Header.Revision, got.Header.ClusterId
		r.keys, r.pairs = append(r.keys, key), make([]Pair, 0, len(got.Kvs))
		for _, kv := range got.Kvs { // by key, unless another order is asked for
			r.pairs = append(r.pairs, Pair{string(kv.Key), kv.Value, kv.ModRevision})
		}
		if len(r.pairs) > 0 {
			r.keys = []string{key}
			return r, nil
		}
	}
	if len(r.keys) == 0 {
		return r, refused
	}
	return r, nil
}

func (s *Store) options(more ...clientv3.OpOption) []clientv3.OpOption {
	if s.prefix {
		more = append(more, clientv3.WithPrefix())
	}
	return more
}

// errAgain is the end of a watch after which everything is read again. It is no fault.
var errAgain = errors.New("read again")

// Follow reports what the store has, whenever that changes, until ctx is done: a whole View,
// or why there is none at the moment. It tries again by itself. A store without the key is
// reported again and again.
func (s *Store) Follow(ctx context.Context, report func(View, error)) {
	var wait pace.Backoff
	for ctx.Err() == nil {
		from := time.Now()
		err := s.follow(ctx, func(v View) { report(v, nil) })
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errAgain) {
			report(View{}, s.plain(err))
		}
		if time.Since(from) > lookEvery {
			wait.Reset()
		}
		wait.Wait(ctx)
	}
}

// follow is Follow over one client.
func (s *Store) follow(ctx context.Context, report func(View)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for wait := (pace.Backoff{Min: 10 * time.Millisecond}); ; wait.Wait(ctx) {
		r, err := s.read(ctx, c)
		if err != nil {
			return err
		}
		report(r.view())
		from := time.Now()
		if err := s.watch(ctx, c, &r, report); !errors.Is(err, errAgain) {
			return err
		}
		if time.Since(from) > time.Second {
			wait.Reset()
		}
	}
}

// watch applies to r what happens from its revision on, and reports it. The library would
// resume a watch by itself, at whatever has taken the server's place; so the first loss of
// the connection ends it.
func (s *Store) watch(ctx context.Context, c *clientv3.Client, r *state, report func(View)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, from := make(chan change), r.revision+1
	for _, key := range r.keys {
		go func() {
			// Without a leader, a member says nothing of what the others agree on.
			pass(ctx, c.Watch(clientv3.WithRequireLeader(ctx), key, s.options(clientv3.WithRev(from))...), changes)
		}()
	}
	lost := make(chan struct{})
	go func() {
		conn := c.ActiveConnection()
		for conn.GetState() == connectivity.Ready && conn.WaitForStateChange(ctx, connectivity.Ready) {
		}
		close(lost)
	}()
	every := lookEvery
	if len(r.pairs) == 0 {
		every = emptyEvery
	}
	var due <-chan time.Time // nil while there is nothing to report
	look := time.NewTimer(every)
	defer look.Stop()
	for {
		select {
		case w := <-changes:
			if err := s.apply(r, w); err != nil {
				return err
			}
			if due == nil {
				due = time.After(gather)
			}
		case <-due:
			due = nil
			if report(r.view()); len(r.pairs) == 0 {
				look.Reset(emptyEvery)
			}
		case <-lost:
			return errLost
		case <-look.C:
			if len(r.pairs) == 0 {
				return errAgain
			}
			if err := s.look(ctx, c, r); err != nil {
				return err
			}
			look.Reset(lookEvery)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errLost = errors.New("the connection is lost")

// change is what a watch brings, or its end.
type change struct {
	clientv3.WatchResponse
	ended bool
}

// pass sends what w brings to changes.
func pass(ctx context.Context, w clientv3.WatchChan, changes chan<- change) {
	for ended := false; !ended; {
		one, open := <-w
		ended = !open
		select {
		case changes <- change{one, ended}:
		case <-ctx.Done():
			return
		}
	}
}

// apply applies what a watch brings, all events of a revision at once.
func (s *Store) apply(r *state, w change) error {
	err := w.Err()
	switch {
	case w.ended:
		return errLost
	case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, rpctypes.ErrFutureRev):
		return errAgain // what happened in between is gone, or never was
	case err != nil:
		return err
	case len(r.keys) > 1, w.Header.ClusterId != r.cluster, w.Header.Revision < r.revision:
		return errAgain
	}
	for _, e := range w.Events {
		r.set(Pair{string(e.Kv.Key), e.Kv.Value, e.Kv.ModRevision}, e.Type != clientv3.EventTypeDelete)
	}
	r.revision = w.Header.Revision
	return nil
}

// look asks whether the store is still the one that was read, and the watch has missed
// nothing.
func (s *Store) look(ctx context.Context, c *clientv3.Client, r *state) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	newer := s.options(clientv3.WithMinModRev(r.revision+1), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
	got, err := c.Get(ctx, r.keys[0], newer...)
	switch {
	case err != nil:
		return err
	case got.Header.ClusterId != r.cluster, got.Header.Revision < r.revision, len(got.Kvs) > 0, int(got.Count) != len(r.pairs):
		return errAgain
	}
	return nil
}

// plain returns err in words for an operator.
func (s *Store) plain(err error) error {
	if err == nil {
		return nil
	}
	hosts := strings.Join(s.url.Hosts, ", ")
	st := status.Convert(err)
	text := strings.TrimPrefix(st.Message(), "connection error: desc = ")
	switch {
	case errors.Is(err, context.DeadlineExceeded), st.Code() == codes.DeadlineExceeded:
		text = "no answer in time"
	case st.Code() == codes.Unknown:
		text = err.Error()
	}
	return errors.New("etcd at " + hosts + ": " + strings.Trim(text, `"`))
}
