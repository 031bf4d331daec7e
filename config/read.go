package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// FileName is the name of the file that Find looks for in the working directory.
const FileName = "lb.toml"

// Find returns the configuration in the file at path. With an empty path it is that
// of ./lb.toml, or Default if there is no such file. Errors are those of Load.
func Find(path string) (*Config, error) {
	if path != "" {
		return Load(path)
	}
	// A link that leads nowhere is an error, not a reason to serve the defaults.
	if _, err := os.Lstat(FileName); errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	return Load(FileName)
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
// give are those of Default. It returns Errors if data is not accepted.
func Parse(name string, data []byte) (*Config, error) {
	src := strings.TrimPrefix(string(data), "\xef\xbb\xbf") // a byte order mark has no column
	tree, err := decode(name, src)
	if err != nil {
		return nil, err
	}
	r := reader{file: name, src: src, config: Default()}
	r.config.Source = name
	var twice string
	if r.at, twice = findSpots(src); twice != "" {
		r.refuse(r.at[twice].key, twice, wrong("is given twice", "keep one of the two"))
	}
	readTable(&r, r.config, "", tree, topKeys)
	r.finish()
	if len(r.errs) > 0 {
		return nil, r.errs.inOrder()
	}
	return r.config, nil
}

// decode turns src into a tree of plain values. It returns Errors if src is not TOML.
func decode(name, src string) (tree map[string]any, err error) {
	if _, err = toml.Decode(src, &tree); err == nil {
		return tree, nil
	}
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		return nil, Errors{{File: name, Line: 1, Column: 1, What: err.Error()}}
	}
	// Position.Start is right. After a newline in the wrong place, Line and Col are
	// those of the line before or after.
	start := syntax.Position.Start
	line, column := place(src, start)
	return nil, Errors{{File: name, Line: line, Column: column, Key: keyAt(src, start), What: syntax.Message}}
}

// keyAt returns the path of the key whose value begins at off, or "" if there is
// none. What follows off need not be TOML.
func keyAt(src string, off int) string {
	at, _ := findSpots(src)
	for path, s := range at {
		if s.value == off && s.key < off {
			return path
		}
	}
	return ""
}

// reader fills a Config from a decoded tree, and collects the flaws.
type reader struct {
	file   string
	src    string
	at     spots
	config *Config
	routes []routeText // in the order of the file; finish puts them into config
	errs   Errors
}

// flaw says what is wrong with a value and what to do about it. A nil flaw means that
// nothing is wrong.
type flaw struct{ what, hint string }

func wrong(what, hint string) *flaw { return &flaw{what, hint} }

// refuse notes a flaw of the key at path, at an offset of the source.
func (r *reader) refuse(off int, path string, f *flaw) {
	line, column := place(r.src, off)
	r.errs = append(r.errs, &Error{r.file, line, column, path, f.what, f.hint})
}

// refuseValue notes a flaw of the value at path, unless f is nil.
func (r *reader) refuseValue(path string, f *flaw) {
	if f != nil {
		r.refuse(r.at[path].value, path, f)
	}
}

// has reports whether the file has the key at path.
func (r *reader) has(path string) bool {
	_, ok := r.at[path]
	return ok
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
		r.refuseValue(path, wrong("must be a table, not "+kind(v), hintTable(path)))
		return
	}
	for name, v := range table {
		at := under(path, name)
		i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == name })
		if i < 0 {
			r.refuse(r.at[at].key, at, unknown(at, name, names(keys)))
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

// unknown returns the flaw of a key that is not among known, the keys of its table.
// The most common mistake is a key in the wrong table, because in TOML everything
// after a [table] belongs to it.
func unknown(path, name string, known []string) *flaw {
	const what = "unknown key"
	near := nearest(name, known)
	if near != "" && distance(name, near) == 1 {
		return wrong(what, fmt.Sprintf("did you mean %q?", near))
	}
	for _, t := range knownTables {
		switch {
		case !slices.Contains(t.keys, name):
		case t.ofPool && strings.HasPrefix(path, "pools["):
			return wrong(what, fmt.Sprintf("%q belongs to [[pools]], above its first [pools.table]", name))
		case t.ofPool:
		case t.name == "":
			return wrong(what, fmt.Sprintf("%q belongs to the top, above the first [table]", name))
		default:
			return wrong(what, fmt.Sprintf("%q belongs to %s", name, t.name))
		}
	}
	if near != "" {
		return wrong(what, fmt.Sprintf("did you mean %q?", near))
	}
	return wrong(what, "known here: "+strings.Join(known, ", "))
}

// finish checks what depends on more than one key.
func (r *reader) finish() {
	l := &r.config.Limits
	if !r.has("limits.target_bytes") {
		l.TargetBytes = min(l.TargetBytes, l.HeaderBytes/2)
	}
	if l.TargetBytes >= l.HeaderBytes {
		r.refuseValue("limits.target_bytes", wrong(
			fmt.Sprintf("%d bytes must be less than header_bytes (%d), which include the target", l.TargetBytes, l.HeaderBytes),
			"make it smaller, or header_bytes larger"))
	}
	r.finishPools()
	r.finishRoutes()
}

// hintTable returns how to write the table at path.
func hintTable(path string) string {
	if strings.HasSuffix(path, "]") {
		return fmt.Sprintf("write [[%s]] on a line of its own", header(path))
	}
	return fmt.Sprintf("write [%s] on a line of its own", header(path))
}

// header returns path without the numbers of elements, as it stands in a header.
func header(path string) string {
	for {
		before, after, ok := strings.Cut(path, "[")
		if !ok {
			return path
		}
		_, rest, _ := strings.Cut(after, "]")
		path = before + rest
	}
}
