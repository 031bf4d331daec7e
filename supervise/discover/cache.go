package discover

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"lb/config"
)

const (
	cacheVersion = 1
	// cacheMax is the age from which a cache is not believed: its addresses may be
	// another's by then. A running lb writes it every hour.
	cacheMax = 7 * 24 * time.Hour
	// parkedFor is how long what is not followed any longer is kept: a reload that is
	// refused after all follows it again.
	parkedFor = 5 * time.Minute
)

// parked is what is known of names and sources that are not followed.
type parked struct {
	names   map[nameKey]parkedName
	sources map[sourceKey]parkedSource
}

type parkedName struct {
	v4, v6       []netip.Addr
	rank4, rank6 int
	at, until    time.Time
}

type parkedSource struct {
	list      []config.Backend
	at, until time.Time
}

// prune drops what is kept no longer.
func (p *parked) prune(now time.Time) {
	for key, n := range p.names {
		if now.After(n.until) {
			delete(p.names, key)
		}
	}
	for key, s := range p.sources {
		if now.After(s.until) {
			delete(p.sources, key)
		}
	}
}

func (n *name) park(until time.Time) parkedName {
	a, b := &n.families[0], &n.families[1]
	return parkedName{a.addrs, b.addrs, a.rank, b.rank, n.answeredAt, until}
}

// hashOf returns what stands for the address of a source, which may hold a password.
func hashOf(discover string) string {
	sum := sha256.Sum256([]byte(discover))
	return hex.EncodeToString(sum[:16])
}

// known is what a hub knows, as JSON.
type known struct {
	Version int           `json:"version"`
	Written time.Time     `json:"written"`
	Names   []knownName   `json:"names,omitempty"`
	Sources []knownSource `json:"sources,omitempty"`
}

type knownName struct {
	Resolver string       `json:"resolver,omitempty"`
	Name     string       `json:"name"`
	V4       []netip.Addr `json:"v4,omitempty"`
	V6       []netip.Addr `json:"v6,omitempty"`
	Rank4    int          `json:"rank4,omitempty"`
	Rank6    int          `json:"rank6,omitempty"`
	At       time.Time    `json:"at"`
}

type knownSource struct {
	Pool     string           `json:"pool"`
	Source   string           `json:"source"` // hashOf
	Backends []config.Backend `json:"backends"`
	At       time.Time        `json:"at"`
}

// Export returns all that is known, for Import in another process.
func (h *Hub) Export() json.RawMessage {
	h.mu.Lock()
	k := known{Version: cacheVersion, Written: time.Now()}
	for key, n := range h.names {
		if len(n.addrs) > 0 {
			k.Names = append(k.Names, n.park(time.Time{}).known(key))
		}
	}
	for key, p := range h.parked.names {
		k.Names = append(k.Names, p.known(key))
	}
	for _, s := range h.sources {
		if len(s.list) > 0 {
			k.Sources = append(k.Sources, knownSource{s.pool.Name, hashOf(s.pool.Discover), s.list, s.answeredAt})
		}
	}
	for key, p := range h.parked.sources {
		k.Sources = append(k.Sources, knownSource{key.pool, key.source, p.list, p.at})
	}
	h.mu.Unlock()
	text, err := json.Marshal(&k)
	if err != nil {
		return nil // there is nothing in it that cannot be
	}
	return text
}

func (p parkedName) known(key nameKey) knownName {
	return knownName{key.resolver, key.name, p.v4, p.v6, p.rank4, p.rank6, p.at}
}

// Import takes over what another Hub knew. It comes before Follow, and replaces what the
// cache has. Nothing is no error.
func (h *Hub) Import(from json.RawMessage) error {
	if len(from) == 0 {
		return nil
	}
	k, err := readKnown(from, time.Now())
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.park(k)
	return nil
}

// park keeps k for names and sources that are followed soon.
func (h *Hub) park(k *known) {
	until := time.Now().Add(parkedFor)
	for _, n := range k.Names {
		h.parked.names[nameKey{n.Resolver, n.Name}] = parkedName{n.V4, n.V6, n.Rank4, n.Rank6, n.At, until}
	}
	for _, s := range k.Sources {
		h.parked.sources[sourceKey{s.Pool, s.Source}] = parkedSource{s.Backends, s.At, until}
	}
}

// readKnown reads what Export has written. It leaves out what cannot be.
func readKnown(text []byte, now time.Time) (*known, error) {
	var k known
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	if k.Version != cacheVersion {
		return nil, fmt.Errorf("it has version %d, and this lb reads %d", k.Version, cacheVersion)
	}
	if age := now.Sub(k.Written); age > cacheMax {
		return nil, fmt.Errorf("it was written %v ago, which is too long", age.Round(time.Hour))
	}
	names := k.Names[:0]
	for _, n := range k.Names {
		n.V4, n.V6 = family4(n.V4), family6(n.V6)
		if n.Name != "" && len(n.V4)+len(n.V6) > 0 {
			names = append(names, n)
		}
	}
	k.Names = names
	for i := range k.Sources {
		s := &k.Sources[i]
		good := s.Backends[:0]
		for _, b := range s.Backends {
			if b.Socket != "" || b.Host != "" && b.Port >= 1 && b.Port <= 65535 {
				good = append(good, b)
			}
		}
		s.Backends = ordered(good)
	}
	return &k, nil
}

func family4(list []netip.Addr) []netip.Addr { return only(list, netip.Addr.Is4) }
func family6(list []netip.Addr) []netip.Addr { return only(list, netip.Addr.Is6) }

func only(list []netip.Addr, is func(netip.Addr) bool) (out []netip.Addr) {
	for _, ip := range list {
		if is(ip) {
			out = append(out, ip)
		}
	}
	return out
}

// load reads the cache.
func (h *Hub) load() {
	if h.o.Cache == "" {
		return
	}
	text, err := os.ReadFile(h.o.Cache)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var k *known
	if err == nil {
		k, err = readKnown(text, time.Now())
	}
	if err != nil {
		h.o.Log.Warn("cache of addresses is not used", "file", h.o.Cache, "cause", err, "mend", "nothing to do: lb writes it again")
		return
	}
	h.park(k)
}

// save writes the cache: a whole one or none. It is not called by two goroutines at once.
func (h *Hub) save() {
	if h.o.Cache == "" {
		return
	}
	if h.isEmpty() {
		return
	}
	err := os.MkdirAll(filepath.Dir(h.o.Cache), 0o700)
	if err == nil {
		err = replace(h.o.Cache, h.Export())
	}
	if err != nil && !h.unwritten {
		h.unwritten = true
		h.o.Log.Warn("cache of addresses cannot be written", "file", h.o.Cache, "cause", err,
			"mend", "let the user of lb write there, or set STATE_DIRECTORY; without it a start knows no addresses until the name servers and sources have answered")
	}
}

// isEmpty reports whether nothing is known.
func (h *Hub) isEmpty() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.names)+len(h.sources)+len(h.parked.names)+len(h.parked.sources) == 0
}

// replace writes a file whole.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
