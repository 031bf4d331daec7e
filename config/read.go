package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"lb/config/hints"
	"lb/config/tomlfile"
	"lb/config/value"
)

// FileName is the name of the file that Find looks for in the working directory.
const FileName = "lb.toml"

// Find returns the configuration in the file at path with the flags applied. With an
// empty path it is that of ./lb.toml, or of Default if there is no such file. Errors are
// those of Load.
func Find(path string, f Flags) (*Config, error) {
	if path == "" {
		// A link that leads nowhere is an error, not a reason to serve the defaults.
		if _, err := os.Lstat(FileName); errors.Is(err, fs.ErrNotExist) {
			return Default().With(f)
		}
		path = FileName
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := parse(path, data, len(f.Backends) > 0)
	if err != nil {
		return nil, err
	}
	return c.With(f)
}

// Load reads and checks the file at path. It returns an *fs.PathError if the file
// cannot be read, and Errors if it is not accepted.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse checks data, the content of a file called name. Values that data does not
// give are those of Default, but for the backends: a file that leads to none, and to no
// redirect either, is not accepted. It returns Errors if data is not accepted.
func Parse(name string, data []byte) (*Config, error) { return parse(name, data, false) }

// parse is Parse. backends says that the pool "default" will get its backends from flags.
func parse(name string, data []byte, backends bool) (*Config, error) {
	file := tomlfile.New(data)
	tree, bad := file.Decode()
	if bad != nil {
		return nil, Errors{notTOML(name, string(data), bad)}
	}
	r := reader{name: name, file: file, config: Default(), backends: backends || file.Has("backends")}
	r.config.Source = name
	r.config.Pools[0].Backends = nil
	if path := file.Twice(); path != "" {
		r.refuseKey(path, value.Wrong("is given twice", "keep one of the two"))
	}
	readTable(&r, r.config, "", tree, topKeys)
	r.finish()
	if len(r.errs) > 0 {
		return nil, r.errs.inOrder()
	}
	return r.config, nil
}

// notTOML returns what to do about a file that the decoder does not take.
func notTOML(name, src string, bad *tomlfile.Mistake) *Error {
	src = strings.TrimPrefix(src, "\xef\xbb\xbf")
	e := &Error{File: name, Line: bad.Line, Column: bad.Column, Key: bad.Key, What: strings.TrimSuffix(bad.Message, ".")}
	if format := hints.Format(name, src); format != "" {
		e.Key, e.What = "", "this looks like "+format
		e.Hint = "lb reads TOML: port = 8080, and below [[backends]] a host and a port; lb.toml has every key"
		return e
	}
	lines := strings.Split(src, "\n")
	e.Hint = hints.Syntax(lines[min(bad.Line, len(lines))-1], bad.Message)
	return e
}

// reader fills a Config from a decoded file, and collects the flaws.
type reader struct {
	name   string // of the file
	file   *tomlfile.File
	config *Config
	routes []routeText // in the order of the file; finish puts them into config
	errs   Errors

	backends bool // the pool "default" has backends, from the file or from flags
}

// refuseKey notes a flaw of the key at path.
func (r *reader) refuseKey(path string, f *value.Flaw) {
	line, column := r.file.Key(path)
	r.errs = append(r.errs, &Error{r.name, line, column, path, f.What, f.Hint})
}

// refuseValue notes a flaw of the value at path, unless f is nil.
func (r *reader) refuseValue(path string, f *value.Flaw) {
	if f != nil {
		line, column := r.file.Value(path)
		r.errs = append(r.errs, &Error{r.name, line, column, path, f.What, f.Hint})
	}
}

// refuse is refuseValue for v, the value at path, with a better hint if there is one.
func (r *reader) refuse(path string, v any, f *value.Flaw) {
	if f != nil {
		if hint := hints.Value(tomlfile.Header(path), v); hint != "" {
			f = value.Wrong(f.What, hint)
		}
		r.refuseValue(path, f)
	}
}

// refuseHere notes a flaw of the key at path if the file has the key.
func (r *reader) refuseHere(path string, f *value.Flaw) {
	if r.file.Has(path) {
		r.refuseKey(path, f)
	}
}

// key is one known key of a table. set puts v, the value at path, into t; diff adds
// to d how the values of two tables differ.
type key[T any] struct {
	name string
	set  func(r *reader, t *T, path string, v any)
	diff func(d *differ, old, new *T, path string)
}

// readTable reads the table at path into t.
func readTable[T any](r *reader, t *T, path string, v any, keys []key[T]) {
	table, ok := v.(map[string]any)
	if !ok {
		r.refuse(path, v, value.WrongKind(v, "a table", hintTable(path)))
		return
	}
	for name, v := range table {
		at := tomlfile.Under(path, name)
		i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == name })
		if i < 0 {
			r.refuseKey(at, unknown(path, name, v, names(keys)))
			continue
		}
		keys[i].set(r, t, at, v)
	}
}

// names returns the names of keys, in their order.
func names[T any](keys []key[T]) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}

// unknown returns the flaw of a key that is not among known, the keys of the table at
// path; v is its value. The most common mistake is a key in the wrong table, because in
// TOML everything after a [table] belongs to it.
func unknown(path, name string, v any, known []string) *value.Flaw {
	const what = "unknown key"
	table := tomlfile.Header(path)
	if hint := hints.Word(table, name, v); hint != "" {
		return value.Wrong(what, hint)
	}
	near := value.Nearest(name, known)
	if near != "" && value.Distance(name, near) == 1 {
		return value.Wrong(what, fmt.Sprintf("did you mean %q?", near))
	}
	if hints.Moves(table, name) {
		if home := home(path, name); home != "" {
			return value.Wrong(what, fmt.Sprintf("%q belongs to %s", name, home))
		}
	}
	if hint := hints.AnyWord(name); hint != "" {
		return value.Wrong(what, hint)
	}
	if near != "" {
		return value.Wrong(what, fmt.Sprintf("did you mean %q?", near))
	}
	return value.Wrong(what, "known here: "+strings.Join(known, ", "))
}

// home returns the place of the key called name, which is not in the table at path, or ""
// if there is none.
func home(path, name string) string {
	for _, t := range knownTables {
		switch {
		case !slices.Contains(t.keys, name):
		case t.ofPool && strings.HasPrefix(path, "pools["):
			return "[[pools]], above its first [pools.table]"
		case t.ofPool:
		case t.name == "":
			return "the top, above the first [table]"
		default:
			return t.name
		}
	}
	return ""
}

// finish checks what depends on more than one key.
func (r *reader) finish() {
	l := &r.config.Limits
	if !r.file.Has("limits.target_bytes") {
		l.TargetBytes = min(l.TargetBytes, l.HeaderBytes/2)
	}
	if l.TargetBytes >= l.HeaderBytes {
		r.refuseValue("limits.target_bytes", value.Wrong(
			fmt.Sprintf("%d bytes must be less than header_bytes (%d), which include the target", l.TargetBytes, l.HeaderBytes),
			"make it smaller, or header_bytes larger"))
	}
	r.finishPools()
	r.checkSticky()
	r.finishRoutes()
	if len(r.errs) == 0 { // else a mistake may be the reason
		r.checkLeads()
	}
}

// checkLeads refuses a file that leads to no backend and no redirect, as one is that was
// emptied or cut off, and routes to a pool "default" that has no backend.
func (r *reader) checkLeads() {
	if r.backends {
		return
	}
	leads := len(r.config.Pools) > 1
	for i, t := range r.config.Routes {
		if t.Pool == 0 {
			r.refuseValue(tomlfile.Under(r.routes[i].at, "pool"), value.Wrong(
				`the pool "default" has no backend here`, "add [[backends]], or name another pool"))
		}
		leads = leads || t.Redirect.To != ""
	}
	if leads || len(r.errs) > 0 {
		return
	}
	what := "leads to no backend and no redirect"
	if r.file.Empty() {
		what = "is empty"
	}
	r.refuseValue("", value.Wrong(what, "add [[backends]] with a host and a port, or [[routes]] with a redirect"))
}

// hintTable returns how to write the table at path.
func hintTable(path string) string {
	if strings.HasSuffix(path, "]") {
		return fmt.Sprintf("write [[%s]] on a line of its own", tomlfile.Header(path))
	}
	return fmt.Sprintf("write [%s] on a line of its own", tomlfile.Header(path))
}
