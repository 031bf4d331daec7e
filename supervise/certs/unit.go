package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"lb/config"
)

// unit is what is judged together: a certificate and its key, or a file of authorities.
type unit struct {
	use  use
	pool int    // of the use forPool and poolCA
	name string // of that pool
	cert file   // or the authorities
	key  file   // its path is "" for a key in the file of the certificate, and for authorities
}

// use is what a unit is for.
type use int

const (
	forClients use = iota // shown to clients
	clientCA              // for certificates of clients
	forPool               // shown to backends
	poolCA                // for certificates of backends
)

// loaded is the content of a unit.
type loaded struct {
	print      string            // of its files, when they were read
	chain, key []byte            // PEM
	leaf       *x509.Certificate // nil for authorities
	warnings   []*Fault
}

// same reports whether l has what other has.
func (l *loaded) same(other *loaded) bool {
	return bytes.Equal(l.chain, other.chain) && bytes.Equal(l.key, other.key)
}

// unitsOf returns the units that cfg names.
func unitsOf(cfg *config.Config) (list []unit) {
	t := &cfg.TLS
	for i, c := range t.Certs {
		cert, key := "tls.cert", "tls.key"
		if i > 0 {
			cert, key = "tls.certs", "tls.certs" // no file stands there twice
		}
		list = append(list, unit{use: forClients, cert: file{cert, c.Cert}, key: file{key, c.Key}})
	}
	if t.ClientCA != "" && t.ClientAuth != config.ClientAuthNone {
		list = append(list, unit{use: clientCA, cert: file{"tls.client_ca", t.ClientCA}})
	}
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		if !poolHasTLS(p) {
			continue
		}
		table := "backend_tls"
		if i > 0 {
			table = fmt.Sprintf("pool %s: tls", p.Name)
		}
		if p.TLS.CA != "" {
			list = append(list, unit{use: poolCA, pool: i, name: p.Name, cert: file{table + ".ca", p.TLS.CA}})
		}
		if p.TLS.ClientCert != "" {
			list = append(list, unit{use: forPool, pool: i, name: p.Name,
				cert: file{table + ".client_cert", p.TLS.ClientCert}, key: file{table + ".client_key", p.TLS.ClientKey}})
		}
	}
	return list
}

// print returns a text that changes whenever a file of u is likely to have changed.
func (u *unit) print() string { return u.cert.print() + "\n" + u.key.print() }

// errChanging is the error of files that were written while they were read.
var errChanging = errors.New("the files are being written")

// load reads and checks the files of u.
func (u *unit) load() (l *loaded, err error) {
	print := u.print()
	if u.use == clientCA || u.use == poolCA {
		l, err = loadAuthorities(u.cert)
	} else {
		l, err = loadPair(u.cert, u.key)
	}
	if u.print() != print {
		return nil, errChanging
	}
	if err != nil {
		return nil, err
	}
	l.print = print
	return l, nil
}

// Between the two files of a pair a reload tries again: the program that renews writes one
// after the other.
const (
	tries    = 3
	tryAfter = 100 * time.Millisecond
)

// loadPatiently is load, tried again for a moment.
func (u *unit) loadPatiently() (l *loaded, err error) {
	for i := range tries {
		before := u.print()
		if l, err = u.load(); err == nil {
			return l, nil
		}
		if i < tries-1 {
			time.Sleep(tryAfter)
		}
		if u.print() == before && !errors.Is(err, errChanging) {
			break
		}
	}
	return nil, err
}

// watched is a unit in use. now and fault belong to the mutex of Manager, the rest to the
// goroutine of Manager.
type watched struct {
	unit
	now     *loaded
	fault   string // why its files, as they are, are not in use; "" if they are
	faultAt time.Time

	seen  string    // print at the last look
	tried string    // print of what was read last
	since time.Time // of the first look at which the files were others than those in use
	err   error     // of what was tried last
	told  bool      // err is in the log
}

// unfitPatience is how long files may be unfit without a word about it.
const unfitPatience = 5 * time.Second

// look looks whether the files of w have changed. It returns what they have now if that
// is to be used, or an error, once, if they cannot be used and have been so for a while.
// back says that they are again those in use.
func (w *watched) look(inUse *loaded, at time.Time) (fresh *loaded, back bool, err error) {
	print := w.print()
	switch {
	case print == inUse.print:
		back = !w.since.IsZero()
		w.seen, w.tried, w.since, w.err, w.told = print, "", time.Time{}, nil, false
		return nil, back, nil
	case print != w.seen: // it may not be whole yet
		w.seen, w.told = print, false
		if w.since.IsZero() {
			w.since = at
		}
		return nil, false, nil
	case print != w.tried:
		if fresh, w.err = w.load(); w.err == nil {
			return fresh, false, nil
		}
		if errors.Is(w.err, errChanging) {
			return nil, false, nil
		}
		w.tried = print
	}
	if w.told || at.Sub(w.since) < unfitPatience {
		return nil, false, nil
	}
	w.told = true
	return nil, false, w.err
}

// poolHasTLS reports whether a backend of p has TLS, or may be found to have it.
func poolHasTLS(p *config.Pool) bool {
	if p.Discover != "" {
		return true
	}
	for i := range p.Backends {
		if p.Backends[i].TLS {
			return true
		}
	}
	return false
}
