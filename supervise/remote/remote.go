// Package remote has a configuration that is the value of a key in etcd or Consul: one for a
// fleet. It reads and watches the key, and keeps the last text that lb has accepted on disk,
// for a start while the store is away. It does not know what is in the text.
package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lb/admin/api"
	"lb/internal/filewatch"
	"lb/internal/statedir"
	"lb/internal/storeurl"
	"lb/supervise/store"
	"lb/supervise/store/consul"
	"lb/supervise/store/etcd"
)

// readTimeout is how long a read may take: an operator, or a start, waits for it.
const readTimeout = 3 * time.Second

// Is reports whether path is the URL of a store and not that of a file.
func Is(path string) bool { return storeurl.Is(path) }

// Shown returns path without credentials, if it is the URL of a store.
func Shown(path string) string {
	if !Is(path) {
		return path
	}
	return storeurl.Shown(path)
}

// Options are what a Store needs besides its URL.
type Options struct {
	Getenv func(string) string // os.Getenv, for the folder of the copy on disk
	Root   bool                // the process is root's
}

// client is a client of one store.
type client interface {
	Read(ctx context.Context) (store.Value, error)
	Follow(ctx context.Context, report func(store.Value, error))
}

// Store is the configuration at one URL. Any goroutine may use it.
type Store struct {
	name   string // the URL without credentials
	client client
	copy   string // path of the copy on disk, or "" if there is no place for it
	hint   string // how the key is written

	mu     sync.Mutex
	log    *slog.Logger // nil before SetLog
	loaded text         // by Load
	began  bool         // something was loaded
	state  api.ConfigStore
	used   string // hash of the text in use
	told   string // fault in the log
	newest string // hash of the newest text that the watch has seen
	uncopy bool   // the copy could not be written, which the log says
}

// text is a configuration as it was loaded.
type text struct {
	data     []byte
	hash     string
	revision uint64
	disk     bool  // it is the copy
	why      error // why it is the copy
}

// Open returns the Store at a URL such as etcd://HOST:PORT/KEY. It opens nothing yet. Files in
// the URL are relative to the working directory.
func Open(url string, o Options) (*Store, error) {
	folder, err := os.Getwd()
	if err != nil {
		folder = ""
	}
	u, err := storeurl.Parse(url, folder, consul.Params...)
	if err == nil && u.Key == "" {
		err = errors.New("names no key; write it after the host: etcd://127.0.0.1:2379/lb/config")
	}
	name := storeurl.Shown(url)
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	s := &Store{name: name, copy: statedir.File(o.Getenv, o.Root, "config", name, ".toml")}
	if u.Kind == storeurl.Consul {
		s.client, s.hint = consul.New(u), fmt.Sprintf("consul kv put %s @lb.toml", u.Key)
	} else {
		s.client, s.hint = oneKey{etcd.New(u, false)}, fmt.Sprintf("etcdctl put %s < lb.toml", u.Key)
	}
	return s, nil
}

// oneKey is a store of etcd with one key.
type oneKey struct{ *etcd.Store }

func (k oneKey) Read(ctx context.Context) (store.Value, error) {
	v, err := k.Store.Read(ctx)
	return valueOf(v), err
}

func (k oneKey) Follow(ctx context.Context, report func(store.Value, error)) {
	k.Store.Follow(ctx, func(v etcd.View, err error) { report(valueOf(v), err) })
}

func valueOf(v etcd.View) store.Value {
	if len(v.Pairs) == 0 {
		return store.Value{}
	}
	return store.Value{Data: v.Pairs[0].Value, Found: true, Revision: uint64(v.Pairs[0].Revision)}
}

// Name returns the URL without credentials, by which errors and the log know the store.
func (s *Store) Name() string { return s.name }

// Read returns the text that the store has now.
func (s *Store) Read() ([]byte, error) {
	t, err := s.read()
	return t.data, err
}

func (s *Store) read() (text, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	v, err := s.client.Read(ctx)
	if err == nil && !v.Found {
		err = s.missing()
	} else if err != nil {
		err = fmt.Errorf("%s cannot be read: %w", s.name, err)
	}
	return text{data: v.Data, hash: hashOf(v.Data), revision: v.Revision}, err
}

// missing is the error of a store without the key.
func (s *Store) missing() error {
	return fmt.Errorf("%s: there is no such key; write the configuration there: %s", s.name, s.hint)
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Copy returns the text that lb has accepted last on this machine, or an error if there is none.
func (s *Store) Copy() ([]byte, error) {
	if s.copy == "" {
		return nil, errors.New("there is no folder for a copy")
	}
	return os.ReadFile(s.copy)
}

// Load returns the text that the store has now or, if nothing was loaded before and the store
// does not give it, the copy on disk.
func (s *Store) Load() ([]byte, error) {
	t, err := s.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(err, t.revision)
	if err != nil {
		data, none := s.Copy()
		if s.began || none != nil {
			s.loaded.hash = "" // whatever comes next is new
			if !s.began {
				err = fmt.Errorf("%w; and no copy of it is on this machine", err)
			}
			return nil, err
		}
		t = text{data: data, hash: hashOf(data), disk: true, why: err}
	}
	s.loaded, s.began = t, true
	return t.data, nil
}

// Hash returns the hash of the text that was loaded last, or "" if that has failed.
func (s *Store) Hash() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded.hash
}

// SetLog sets the log, and says there if the configuration of the start is the copy.
func (s *Store) SetLog(log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log = log; s.loaded.disk {
		log.Warn("configuration is the copy of the last one accepted, because the store does not give it", "store", s.name, "copy", s.copy, "cause", s.loaded.why,
			"mend", "see to the store; lb takes up what is there as soon as it answers")
		s.told = s.state.Fault
	}
}

// Accepted notes that lb uses the text that was loaded last, and keeps a copy of it on disk,
// which its user alone may read.
func (s *Store) Accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used, s.state.Revision, s.state.FromDisk = s.loaded.hash, s.loaded.revision, s.loaded.disk
	if s.loaded.disk || s.copy == "" && s.uncopy {
		return
	}
	err := s.writeCopy()
	if err != nil && !s.uncopy && s.log != nil {
		s.log.Warn("no copy of the configuration is kept for a start without the store", "store", s.name, "cause", err,
			"mend", "let the user of lb write to the state folder: StateDirectory=lb in the unit, or $XDG_STATE_HOME")
	}
	s.uncopy = err != nil
}

// writeCopy writes the copy: all of it or nothing.
func (s *Store) writeCopy() error {
	if s.copy == "" {
		return errors.New("there is no state folder")
	}
	folder := filepath.Dir(s.copy)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".config-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(s.loaded.data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.copy)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// State returns what is known of the store.
func (s *Store) State() *api.ConfigStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	return &state
}

// note notes an answer of the store, or why there is none. The log has a line when it begins
// to fail, and when it answers again. s.mu is held.
func (s *Store) note(err error, revision uint64) {
	now := time.Now()
	if err != nil {
		if s.state.Fault = err.Error(); s.state.FaultAt.IsZero() {
			s.state.FaultAt = now
		}
		if s.told == "" && s.log != nil {
			s.told = s.state.Fault
			s.log.Warn("configuration store fails, the configuration in use goes on", "store", s.name, "cause", err,
				"mend", "see to the store; lb tries again by itself, and lb status shows the state")
		}
		return
	}
	s.state.Newest, s.state.Answered = revision, now
	s.state.Fault, s.state.FaultAt = "", time.Time{}
	if s.told != "" && s.log != nil {
		s.log.Info("configuration store answers again", "store", s.name, "revision", revision)
	}
	s.told = ""
}

// Watch calls news with each text that the store has, until the Watch is closed. news has to
// return when cancelled is closed.
func (s *Store) Watch(news func(cancelled <-chan struct{}, n filewatch.News)) *Watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watch{store: s, ctx: ctx, cancel: cancel, news: news}
	w.running.Go(func() {
		s.client.Follow(ctx, func(v store.Value, err error) {
			if err == nil && !v.Found {
				err = s.missing()
			}
			s.mu.Lock()
			s.note(err, v.Revision)
			if s.newest = ""; err == nil {
				s.newest = hashOf(v.Data)
			}
			if s.newest == s.used { // what is in use, whether it came from here or is the copy
				s.state.Revision, s.state.FromDisk = v.Revision, false
			}
			s.mu.Unlock()
			w.tell()
		})
	})
	return w
}

// Watch is the watch over a Store.
type Watch struct {
	store   *Store
	ctx     context.Context
	cancel  func()
	news    func(cancelled <-chan struct{}, n filewatch.News)
	running sync.WaitGroup
}

// tell calls news with the newest text, if there is one.
func (w *Watch) tell() {
	w.store.mu.Lock()
	hash := w.store.newest
	w.store.mu.Unlock()
	if hash != "" {
		w.news(w.ctx.Done(), filewatch.News{Hash: hash})
	}
}

// Poke has the newest text reported again.
func (w *Watch) Poke() { w.running.Go(w.tell) }

// Close ends the watch.
func (w *Watch) Close() {
	w.cancel()
	w.running.Wait()
}
