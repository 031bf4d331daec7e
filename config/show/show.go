// Package show lists the settings of a configuration, and says of each where its value comes
// from: a line of the file, a flag, lb itself, or a change at run time. Secrets are not shown.
package show

import (
	"fmt"
	"strconv"
	"strings"

	"lb/admin/api"
	"lb/config"
	"lb/config/tomlfile"
	"lb/internal/redact"
)

// Runtime has what was changed at run time; a nil function or an empty text changes nothing.
type Runtime struct {
	LogLevel string // in use
	// Backend returns what holds for a backend of the configuration, by the indexes of its pool
	// and its own: another weight, or 0, and the operator's word about it, or "".
	Backend func(pool, backend int) (weight int, admin string)
}

// Settings returns every setting of cfg in the order of lb.toml.
func Settings(cfg *config.Config, r Runtime) []api.Setting {
	w := &walk{cfg: cfg, runtime: r, flags: flagsOf(cfg)}
	cfg.Walk(w.add)
	return w.out
}

// walk collects settings.
type walk struct {
	cfg     *config.Config
	runtime Runtime
	flags   map[string]string // by path
	out     []api.Setting
}

// flagsOf returns the flags that were given, by the paths of what they set. A path may be that
// of a list.
func flagsOf(cfg *config.Config) map[string]string {
	f, out := &cfg.Flags, map[string]string{}
	for _, one := range []struct {
		path, flag string
		given      bool
	}{
		{"mode", "--mode", f.Mode != nil},
		{"host", "--host", f.Host != nil},
		{"strategy", "--strategy", f.Strategy != nil},
		{"log_level", "--log-level", f.LogLevel != nil},
		{"log_format", "--log-format", f.LogFormat != nil},
		{"pid_file", "--pid-file", f.PIDFile != nil},
		{"admin.address", "--admin", f.Admin != nil},
		{"workers", "--workers", f.Workers != nil},
		{"port", "--port", f.Port != nil},
		{"backends", "--backend", len(f.Backends) > 0},
		{"tls.cert", "--tls-cert", f.TLSCert != nil},
		{"tls.key", "--tls-key", f.TLSKey != nil},
		{"tls.certs", "--tls-cert", f.TLSCert != nil},
		{"tls.acme.names", "--https", f.HTTPS != nil},
		{"listeners", "--https", f.HTTPS != nil && f.Port == nil},
	} {
		if one.given {
			out[one.path] = one.flag
		}
	}
	return out
}

// add adds the setting at path, unless it means nothing where it is.
func (w *walk) add(path, text string) {
	if w.first(&path, text) || w.unused(path) {
		return
	}
	s := api.Setting{Key: path, Value: hide(path, text), Source: api.FromDefault}
	if file := w.cfg.File; file != nil {
		if at := placeOf(file, path); at != "" {
			s.Source, s.File = api.FromFile, w.cfg.Source
			s.Line, _ = file.Key(at)
		}
	}
	if flag := w.flagOf(path); flag != "" {
		s.Source, s.Flag = api.FromFlag, flag // File and Line are those of the value that it overrules
	}
	w.atRuntime(&s)
	w.out = append(w.out, s)
}

// first gives the first certificate its path in the file, where it may be in [tls] itself. It
// reports whether there is nothing to show.
func (w *walk) first(path *string, text string) (nothing bool) {
	apart := w.flags["tls.cert"] != "" || w.cfg.File != nil && w.cfg.File.Has("tls.cert")
	if !apart {
		return false
	}
	if *path == "tls.cert" || *path == "tls.key" {
		return true
	}
	index, name, ok := element(*path, "tls.certs")
	switch {
	case !ok:
		return false
	case index > 0:
		*path = tomlfile.Under(tomlfile.Element("tls.certs", index-1), name)
		return false
	}
	*path = "tls." + name
	return false
}

// element takes a path such as "pools[1].name" apart.
func element(path, list string) (index int, rest string, ok bool) {
	after, ok := strings.CutPrefix(path, list+"[")
	if !ok {
		return 0, "", false
	}
	number, rest, ok := strings.Cut(after, "]")
	index, err := strconv.Atoi(number)
	return index, strings.TrimPrefix(rest, "."), ok && err == nil
}

// unused reports whether path is a key that a route or a backend of its kind does not have.
func (w *walk) unused(path string) bool {
	if i, key, ok := element(path, "routes"); ok {
		redirects := w.cfg.Routes[i].Redirect.To != ""
		return redirects && (key == "pool" || key == "strip_prefix") || !redirects && strings.HasPrefix(key, "redirect.")
	}
	pool, i, key, ok := w.backend(path)
	if !ok {
		return false
	}
	socket := w.cfg.Pools[pool].Backends[i].Socket != ""
	return socket && (key == "host" || key == "port") || !socket && key == "socket"
}

// backend takes the path of a key of a backend apart.
func (w *walk) backend(path string) (pool, index int, key string, ok bool) {
	rest := path
	if i, after, of := element(path, "pools"); of {
		pool, rest = i+1, after
	}
	index, key, ok = element(rest, "backends")
	return pool, index, key, ok
}

// placeOf returns the path under which file has the value at path, or "". The names of fields
// have no case.
func placeOf(file *tomlfile.File, path string) string {
	if file.Has(path) {
		return path
	}
	if table, _, ok := cutLast(path, ".headers."); ok && file.Has(table+".headers") {
		return table + ".headers"
	}
	return ""
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// flagOf returns the flag that the value at path comes from, or "".
func (w *walk) flagOf(path string) string {
	if flag := w.flags[path]; flag != "" {
		return flag
	}
	list, _, ok := strings.Cut(path, "[")
	if !ok {
		return ""
	}
	return w.flags[list]
}

// hide returns text, unless it is or has a secret.
func hide(path, text string) string {
	for _, table := range []string{".headers.", ".set_request_headers.", ".set_response_headers."} {
		if _, name, ok := strings.Cut(path, table); ok && redact.Secret(name) {
			if text == `""` {
				return text
			}
			return "set"
		}
	}
	return redact.URL(text)
}

// configuredLevel returns the level of the log by flag and file. That of the configuration may
// be the one of run time.
func (w *walk) configuredLevel() string {
	if flag := w.cfg.Flags.LogLevel; flag != nil {
		return *flag
	}
	if file := w.cfg.File; file != nil && file.Has("log_level") {
		return file.Text("log_level")
	}
	return config.Default().LogLevel
}

// atRuntime puts what was changed at run time into s.
func (w *walk) atRuntime(s *api.Setting) {
	if level := w.runtime.LogLevel; s.Key == "log_level" && level != "" {
		if s.Value = level; level != w.configuredLevel() {
			s.Source = api.FromRuntime
		}
		return
	}
	pool, index, key, ok := w.backend(s.Key)
	if !ok || w.runtime.Backend == nil || key != "weight" && key != "drain" {
		return
	}
	weight, admin := w.runtime.Backend(pool, index)
	switch {
	case key == "weight" && weight != 0:
		s.Value, s.Source = strconv.Itoa(weight), api.FromRuntime
	case key == "drain" && admin == api.Drained:
		s.Value, s.Source = "true", api.FromRuntime
	case key == "drain" && admin == api.Disabled:
		s.Value, s.Source = fmt.Sprintf("true (%s)", api.Disabled), api.FromRuntime
	}
}
