// Package schema reads the tables of a configuration file into structs, by lists of their
// keys, and compares such structs by the same lists. It collects every mistake with its
// place. It knows no key by name.
package schema

import (
	"slices"

	"lb/config/hints"
	"lb/config/tomlfile"
	"lb/config/value"
)

// Reader collects the mistakes in a file.
type Reader struct {
	Name   string // of the file
	Folder string // of the file, from the root on
	File   *tomlfile.File
	Errs   Errors
	// Unknown returns what is wrong with a key that is not among known, the keys of the
	// table at path; v is its value.
	Unknown func(path, name string, v any, known []string) *value.Flaw
}

// RefuseKey notes a flaw of the key at path.
func (r *Reader) RefuseKey(path string, f *value.Flaw) {
	line, column := r.File.Key(path)
	r.Errs = append(r.Errs, &Error{r.Name, line, column, path, f.What, f.Hint})
}

// RefuseValue notes a flaw of the value at path, unless f is nil.
func (r *Reader) RefuseValue(path string, f *value.Flaw) {
	if f != nil {
		line, column := r.File.Value(path)
		r.Errs = append(r.Errs, &Error{r.Name, line, column, path, f.What, f.Hint})
	}
}

// Refuse is RefuseValue for v, the value at path, with a better hint if there is one.
func (r *Reader) Refuse(path string, v any, f *value.Flaw) {
	if f != nil {
		if hint := hints.Value(tomlfile.Header(path), v); hint != "" {
			f = value.Wrong(f.What, hint)
		}
		r.RefuseValue(path, f)
	}
}

// RefuseHere notes a flaw of the key at path if the file has the key.
func (r *Reader) RefuseHere(path string, f *value.Flaw) {
	if r.File.Has(path) {
		r.RefuseKey(path, f)
	}
}

// Key is one known key of a table.
type Key[T any] struct {
	Name string
	// Set puts v, the value at path, into t.
	Set func(r *Reader, t *T, path string, v any)
	// Diff adds to d how the values of two tables differ; nil for a key by which tables are
	// told apart.
	Diff func(d *Differ, old, new *T, path string)
}

// Special returns a key that is read and compared like no other.
func Special[T any](name string, set func(r *Reader, t *T, path string, v any), diff func(d *Differ, old, new *T, path string)) Key[T] {
	return Key[T]{name, set, diff}
}

// ReadTable reads the table at path into t.
func ReadTable[T any](r *Reader, t *T, path string, v any, keys []Key[T]) {
	table, ok := v.(map[string]any)
	if !ok {
		r.Refuse(path, v, value.WrongKind(v, "a table", hints.Table(tomlfile.Header(path), path != "" && path[len(path)-1] == ']')))
		return
	}
	for name, v := range table {
		at := tomlfile.Under(path, name)
		i := slices.IndexFunc(keys, func(k Key[T]) bool { return k.Name == name })
		if i < 0 {
			r.RefuseKey(at, r.Unknown(path, name, v, Names(keys)))
			continue
		}
		keys[i].Set(r, t, at, v)
	}
}

// Names returns the names of keys, in their order.
func Names[T any](keys []Key[T]) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.Name
	}
	return out
}
