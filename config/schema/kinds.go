package schema

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"lb/config/tomlfile"
	"lb/config/value"
	"lb/internal/redact"
)

// The kinds of keys: how a value is read, and how Diff shows it.

// Single returns a key whose value parse reads and show writes.
func Single[T, V any](name string, field func(*T) *V, parse func(v any) (V, *value.Flaw), show func(V) string) Key[T] {
	return Key[T]{name, func(r *Reader, t *T, path string, v any) {
		got, f := parse(v)
		if f != nil {
			r.Refuse(path, v, f)
			return
		}
		*field(t) = got
	}, Shown(func(t *T) string { return show(*field(t)) })}
}

// Text returns a key whose value is a string that check accepts.
func Text[T any, S ~string](name string, check func(string) *value.Flaw, field func(*T) *S) Key[T] {
	return Single(name, field, func(v any) (S, *value.Flaw) {
		s, f := value.ParseText(v)
		if f == nil {
			f = check(s)
		}
		return S(s), f
	}, func(s S) string { return value.QuoteText(string(s)) })
}

// Socket returns a key whose value is the path of a unix socket, with unix: before it or
// without, that check accepts.
func Socket[T any](name string, check func(string) *value.Flaw, field func(*T) *string) Key[T] {
	return Single(name, field, func(v any) (string, *value.Flaw) {
		s, f := value.ParseText(v)
		if s = value.TrimUnix(s); f == nil {
			f = check(s)
		}
		return s, f
	}, value.QuoteText)
}

// Secret is text for a value that neither Diff nor an error shows.
func Secret[T any](name string, check func(string) *value.Flaw, field func(*T) *string) Key[T] {
	k := Single(name, field, func(v any) (string, *value.Flaw) {
		s, f := value.ParseText(v)
		if f != nil {
			return s, value.Wrong(f.What, "write it in quotes")
		}
		return s, check(s)
	}, value.QuoteText)
	k.Diff = func(d *Differ, old, new *T, path string) {
		switch from, to := *field(old), *field(new); {
		case d.Show != nil && to != "":
			d.Show(path, "set")
		case d.Show != nil:
			d.Show(path, "none")
		case from == to:
		case from == "":
			d.Setting(path, "none", "set")
		case to == "":
			d.Setting(path, "set", "none")
		default:
			d.Setting(path, "set", "another")
		}
	}
	return k
}

// FieldText returns the value of a field as it is shown: without a credential.
func FieldText(field, text string) string {
	if redact.Secret(field) {
		return redact.Mark
	}
	return value.QuoteText(text)
}

// URL is text for a URL. Credentials in it are not shown.
func URL[T any](name string, check func(string) *value.Flaw, field func(*T) *string) Key[T] {
	k := Text(name, check, field)
	k.Diff = func(d *Differ, old, new *T, path string) {
		from, to := value.QuoteText(redact.URL(*field(old))), value.QuoteText(redact.URL(*field(new)))
		if d.Show == nil && from == to && *field(old) != *field(new) {
			to = "another"
		}
		d.Setting(path, from, to)
	}
	return k
}

// Number returns a key whose value is a whole number from low to high.
func Number[T any](name string, low, high int, field func(*T) *int) Key[T] {
	return Single(name, field, func(v any) (int, *value.Flaw) { return value.ParseInt(v, low, high) }, strconv.Itoa)
}

// Flag returns a key whose value is true or false.
func Flag[T any](name string, field func(*T) *bool) Key[T] {
	return Single(name, field, value.ParseBool, strconv.FormatBool)
}

// Fraction returns a key whose value is a number that check accepts.
func Fraction[T any](name string, check func(float64) *value.Flaw, field func(*T) *float64) Key[T] {
	return Single(name, field, func(v any) (float64, *value.Flaw) {
		n, f := value.ParseFloat(v)
		if f == nil {
			f = check(n)
		}
		return n, f
	}, func(n float64) string { return fmt.Sprint(n) })
}

// Duration returns a key whose value is a length of time above zero.
func Duration[T any](name string, field func(*T) *time.Duration) Key[T] {
	return DurationFrom(name, 1, field)
}

// DurationFrom returns a key whose value is a length of time of at least low.
func DurationFrom[T any](name string, low time.Duration, field func(*T) *time.Duration) Key[T] {
	return Single(name, field, func(v any) (time.Duration, *value.Flaw) { return value.ParseDuration(v, low) }, value.DurationText)
}

// Size returns a key whose value is a number of bytes from low to high.
func Size[T any, N int | int64](name string, low, high int64, field func(*T) *N) Key[T] {
	return Single(name, field, func(v any) (N, *value.Flaw) {
		n, f := value.ParseSize(v, low, high)
		return N(n), f
	}, func(n N) string { return value.SizeText(int64(n)) })
}

// Table returns a key whose value is a table with keys of its own.
func Table[T, U any](name string, keys []Key[U], field func(*T) *U) Key[T] {
	return Key[T]{name, func(r *Reader, t *T, path string, v any) {
		ReadTable(r, field(t), path, v, keys)
	}, func(d *Differ, old, new *T, path string) {
		DiffTable(d, field(old), field(new), path, keys)
	}}
}

// ReadTexts calls each with every text of the list at path. hint says what to write
// in place of an element that is not a text.
func ReadTexts(r *Reader, path string, v any, hint string, each func(at, s string)) {
	ReadList(r, path, v, func(at string, v any) {
		if s, ok := v.(string); ok {
			each(at, s)
		} else {
			r.RefuseValue(at, value.WrongKind(v, "text", hint))
		}
	})
}

// ReadList calls each with every element of the list at path.
func ReadList(r *Reader, path string, v any, each func(at string, v any)) {
	list, ok := v.([]any)
	if !ok {
		r.Refuse(path, v, value.WrongKind(v, "a list", "write [ ... ] around it"))
		return
	}
	for i, v := range list {
		each(tomlfile.Element(path, i), v)
	}
}

// ReadTables returns the elements of a non-empty array of tables: [[x]], or a list
// of inline tables. If v is something else, r has noted it and ok is false.
func ReadTables(r *Reader, path string, v any, what string) (list []any, ok bool) {
	switch v := v.(type) {
	case []any:
		list = v
	case []map[string]any:
		for _, t := range v {
			list = append(list, t)
		}
	default:
		r.Refuse(path, v, value.WrongKind(v, "a list of tables",
			fmt.Sprintf("write [[%s]], once for each %s", tomlfile.Header(path), what)))
		return nil, false
	}
	if len(list) == 0 {
		r.RefuseValue(path, value.Wrong("is empty", fmt.Sprintf("name at least one %s", what)))
	}
	return list, len(list) > 0
}

// File returns a key whose value is the path of a file, or "" for none. A path that does not
// begin with a slash begins at the folder of the configuration file.
func File[T any](name string, field func(*T) *string) Key[T] {
	return Path(name, value.CheckFile, field)
}

// Path is File for a path that check accepts.
func Path[T any](name string, check func(string) *value.Flaw, field func(*T) *string) Key[T] {
	return Special(name, func(r *Reader, t *T, path string, v any) {
		s, f := value.ParseText(v)
		if f == nil {
			f = check(s)
		}
		if f != nil {
			r.Refuse(path, v, f)
			return
		}
		if s != "" && !filepath.IsAbs(s) {
			s = filepath.Join(r.Folder, s)
		}
		*field(t) = s
	}, Shown(func(t *T) string { return value.QuoteText(*field(t)) }))
}
