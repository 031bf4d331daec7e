package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lb/config/hints"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
	"lb/internal/redact"
)

// FileName is the name of the file that Find looks for in the working directory.
const FileName = "lb.toml"

// Error is one mistake in a configuration, and what to do about it.
type Error = schema.Error

// Errors are all mistakes in a configuration, in the order of the file. It is never
// empty. Load, Find, Parse and With return it for what they could read but do not
// accept; errors.As finds each *Error in it.
type Errors = schema.Errors

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
	return Read(path, data, f)
}

// Read checks data, the content of a file called name, and applies the flags. name may be the
// URL of something else than a file: other files are relative to URLFolder then.
func Read(name string, data []byte, f Flags) (*Config, error) {
	c, err := parse(name, data, len(f.Backends) > 0)
	if err != nil {
		return nil, err
	}
	return c.With(f)
}

// URLFolder is the folder of a configuration that is not in a file: the same on every machine
// and for every command.
const URLFolder = "/etc/lb"

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
	folder, err := URLFolder, error(nil)
	if !strings.Contains(name, "://") {
		folder, err = filepath.Abs(filepath.Dir(name)) // so that a reload finds the same files by whatever name
	}
	if err != nil {
		return nil, err
	}
	r := reader{
		Reader:   schema.Reader{Name: name, Folder: folder, File: file, Unknown: unknown},
		draft:    draft{Config: *Default()},
		backends: backends || file.Has("backends") || file.Has("discover"),
	}
	r.draft.Source, r.draft.File = name, file
	r.draft.Pools[0].Backends = nil
	if path := file.Twice(); path != "" {
		r.RefuseKey(path, value.Wrong("is given twice", "keep one of the two"))
	}
	schema.ReadTable(&r.Reader, &r.draft, "", tree, topKeys)
	r.finish()
	if len(r.Errs) > 0 {
		return nil, r.Errs.InOrder()
	}
	return &r.draft.Config, nil
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
	line := lines[min(bad.Line, len(lines))-1]
	e.Hint = hints.Syntax(line, bad.Message)
	if (redact.Secret(line) || strings.Contains(line, "sticky_key")) && !strings.HasPrefix(e.What, "Key '") { // the decoder shows what it has found, unless a key is given twice
		e.What, e.Hint = "the value cannot be read", `write it in quotes: key = "..."`
	}
	return e
}

// draft is a configuration that is being read.
type draft struct {
	Config
	routes []routeText // in the order of the file; finish puts them into Config
}

// reader reads a file into a draft, and checks what depends on more than one key.
type reader struct {
	schema.Reader
	draft    draft
	backends bool // the pool "default" has backends, from the file or from flags
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
	l := &r.draft.Limits
	if !r.File.Has("limits.target_bytes") {
		l.TargetBytes = min(l.TargetBytes, l.HeaderBytes/2)
	}
	if l.TargetBytes >= l.HeaderBytes {
		r.RefuseValue("limits.target_bytes", value.Wrong(
			fmt.Sprintf("%d bytes must be less than header_bytes (%d), which include the target", l.TargetBytes, l.HeaderBytes),
			"make it smaller, or header_bytes larger"))
	}
	r.finishPools()
	r.finishNames()
	r.checkSticky()
	r.finishListeners()
	r.finishCerts()
	r.finishBackendTLS()
	r.finishProtocols()
	r.finishRoutes()
	if len(r.Errs) == 0 { // else a mistake may be the reason
		r.checkLeads()
	}
}

// checkLeads refuses a file that leads to no backend and no redirect, as one is that was
// emptied or cut off, and routes to a pool "default" that has no backend.
func (r *reader) checkLeads() {
	if r.backends {
		return
	}
	leads := len(r.draft.Pools) > 1
	for i, t := range r.draft.Routes {
		if t.Pool == 0 {
			r.RefuseValue(tomlfile.Under(r.draft.routes[i].at, "pool"), value.Wrong(
				`the pool "default" has no backend here`, "add [[backends]], or name another pool"))
		}
		leads = leads || t.Redirect.To != ""
	}
	if leads || len(r.Errs) > 0 {
		return
	}
	what := "leads to no backend and no redirect"
	if r.File.Empty() {
		what = "is empty"
	}
	r.RefuseValue("", value.Wrong(what, "add [[backends]] with a host and a port, or [[routes]] with a redirect"))
}
