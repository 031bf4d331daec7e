// Package storeurl reads the URLs of key-value stores: etcd://HOST:PORT,HOST:PORT/KEY and
// consul://HOST:PORT/KEY. It opens nothing.
package storeurl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The kinds of stores.
const (
	Etcd   = "etcd"
	Consul = "consul"
)

// URL is where a key is, or all keys that begin with one.
type URL struct {
	Kind     string   // Etcd or Consul
	Hosts    []string // host:port; at least one
	Key      string   // without the slash after the hosts; "" if the URL has none
	TLS      bool
	User     string
	Password string
	Query    url.Values // what is not in the fields of this struct

	CA, Cert, CertKey string // files in PEM, absolute, or ""
	ServerName        string // in the certificate; "": the host
	PasswordFile      string // holds the password, or the token of Consul; absolute, or ""
}

// ports are the usual ones.
var ports = map[string]string{Etcd: "2379", Consul: "8500"}

// Is reports whether s is a URL of a store, or is meant as one: no file has such a path.
func Is(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":/")
	_, _, known := kind(scheme)
	return ok && (known || strings.HasPrefix(rest, "/") && scheme != "" && !strings.ContainsFunc(scheme, notInName))
}

var errUser = errors.New("has a user or a password that is not percent-encoded well; write % as %25, @ as %40, / as %2F, ? as %3F")

// torn reports whether authority, which has no user, ends within the password of s: there is
// a slash or a question mark in it.
func torn(authority, s string) bool {
	if strings.Contains(authority, "@") || !strings.Contains(s, "@") {
		return false
	}
	return slices.ContainsFunc(strings.Split(authority, ","), func(host string) bool {
		_, err := withPort(host, "1")
		return err != nil
	})
}

// kind returns the store that a scheme stands for, and whether with TLS: etcds, consuls.
func kind(scheme string) (store string, secure, ok bool) {
	store = strings.ToLower(scheme)
	if _, ok = ports[store]; !ok {
		if store, secure = strings.CutSuffix(store, "s"); secure {
			_, ok = ports[store]
		}
	}
	return store, secure, ok
}

// Parse reads s. Files in it are relative to folder; with an empty folder they have to be
// absolute. others are the names of further parameters. An error never shows a secret.
func Parse(s, folder string, others ...string) (u URL, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	var known bool
	if u.Kind, u.TLS, known = kind(scheme); !ok || !known {
		return u, errors.New("is no URL of a store; write etcd://HOST:PORT/KEY or consul://HOST:PORT/KEY, or the path of a file")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, key, _ := strings.Cut(rest, "/")
	if torn(authority, s) {
		return u, errUser
	}
	if strings.ContainsRune(rest, '#') {
		return u, errors.New("has a # in it; write it as %23")
	}
	if u.Key, err = url.PathUnescape(key); err != nil {
		return u, errors.New("has a key that is not percent-encoded well; write % as %25")
	}
	if err := u.setUser(&authority); err != nil {
		return u, err
	}
	for _, host := range strings.Split(authority, ",") {
		at, err := withPort(host, ports[u.Kind])
		if err != nil {
			return u, err
		}
		u.Hosts = append(u.Hosts, at)
	}
	return u, u.setQuery(query, folder, others)
}

// setUser takes the user and the password from authority.
func (u *URL) setUser(authority *string) (err error) {
	at := strings.LastIndexByte(*authority, '@')
	if at < 0 {
		return nil
	}
	user, password, _ := strings.Cut((*authority)[:at], ":")
	*authority = (*authority)[at+1:]
	if u.User, err = url.PathUnescape(user); err == nil {
		u.Password, err = url.PathUnescape(password)
	}
	if err != nil {
		return errUser
	}
	return nil
}

// withPort returns host:port of a host with or without a port.
func withPort(s, port string) (string, error) {
	host := s
	if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	} else if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("has %q as a port; use 1 to 65535", port)
	}
	if _, err := netip.ParseAddr(host); err != nil && (host == "" || strings.ContainsFunc(host, notInName)) {
		return "", fmt.Errorf("has %q as a host; write HOST:PORT, with commas between several", host)
	}
	return net.JoinHostPort(host, port), nil
}

// notInName reports whether c cannot be in the name of a host.
func notInName(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_')
}

// setQuery reads the parameters.
func (u *URL) setQuery(query, folder string, others []string) (err error) {
	if u.Query, err = url.ParseQuery(query); err != nil {
		return errors.New("has parameters that are not percent-encoded well; write % as %25, & as %26")
	}
	file := func(name string, to *string) {
		path := u.Query.Get(name)
		if u.Query.Del(name); path == "" || err != nil {
			return
		}
		if folder == "" && !filepath.IsAbs(path) {
			err = fmt.Errorf("has a relative path as %s; write it from the root on", name)
			return
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		*to = path
	}
	file("ca", &u.CA)
	file("cert", &u.Cert)
	file("key", &u.CertKey)
	file("password_file", &u.PasswordFile)
	file("token_file", &u.PasswordFile)
	if u.Query.Has("token") {
		u.Password = u.Query.Get("token")
		u.Query.Del("token")
	}
	u.ServerName = u.Query.Get("server_name")
	u.Query.Del("server_name")
	secure := u.Query.Get("tls")
	u.Query.Del("tls")
	u.TLS = u.TLS || secure == "true" || u.CA != "" || u.Cert != "" || u.ServerName != ""
	switch {
	case secure != "" && secure != "true" && secure != "false":
		return errors.New("has neither true nor false as tls; write tls=true")
	case err != nil:
		return err
	case u.Cert == "" && u.CertKey != "":
		return errors.New("has a key and no cert; add cert=FILE")
	}
	for name := range u.Query {
		if !slices.Contains(others, name) {
			return fmt.Errorf("has a parameter %q; known here: %s", name,
				strings.Join(append([]string{"ca", "cert", "key", "tls", "server_name", "password_file", "token", "token_file"}, others...), ", "))
		}
	}
	return nil
}

// Shown returns s, the URL of a store, without what may be secret: user, password and
// parameters. It is the name under which errors and the log know it.
func Shown(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case !ok && Is(s):
		scheme, _, _ = strings.Cut(s, ":/")
		return scheme + ":/***"
	case !ok:
		return s
	}
	rest, _, _ = strings.Cut(rest, "?")
	authority, key, slash := strings.Cut(rest, "/")
	if torn(authority, s) {
		return strings.ToLower(scheme) + "://***"
	}
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if slash {
		authority += "/"
	}
	return strings.ToLower(scheme) + "://" + authority + key
}
