package config

import (
	"fmt"
	"strconv"
	"time"

	"lb/config/tomlfile"
	"lb/config/value"
)

// The kinds of keys: how a value is read, and how Diff shows it.

// single returns a key whose value parse reads and show writes.
func single[T, V any](name string, field func(*T) *V, parse func(v any) (V, *value.Flaw), show func(V) string) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		got, f := parse(v)
		if f != nil {
			r.refuse(path, v, f)
			return
		}
		*field(t) = got
	}, shown(func(t *T) string { return show(*field(t)) })}
}

// text returns a key whose value is a string that check accepts.
func text[T any, S ~string](name string, check func(string) *value.Flaw, field func(*T) *S) key[T] {
	return single(name, field, func(v any) (S, *value.Flaw) {
		s, f := value.ParseText(v)
		if f == nil {
			f = check(s)
		}
		return S(s), f
	}, func(s S) string { return value.QuoteText(string(s)) })
}

// socket returns a key whose value is the path of a unix socket, with unix: before it or
// without, that check accepts.
func socket[T any](name string, check func(string) *value.Flaw, field func(*T) *string) key[T] {
	return single(name, field, func(v any) (string, *value.Flaw) {
		s, f := value.ParseText(v)
		if s = value.TrimUnix(s); f == nil {
			f = check(s)
		}
		return s, f
	}, value.QuoteText)
}

// secret is text for a value that Diff does not show.
func secret[T any](name string, check func(string) *value.Flaw, field func(*T) *string) key[T] {
	k := text(name, check, field)
	k.diff = func(d *differ, old, new *T, path string) {
		switch from, to := *field(old), *field(new); {
		case from == to:
		case from == "":
			d.setting(path, "none", "set")
		case to == "":
			d.setting(path, "set", "none")
		default:
			d.setting(path, "set", "another")
		}
	}
	return k
}

// number returns a key whose value is a whole number from low to high.
func number[T any](name string, low, high int, field func(*T) *int) key[T] {
	return single(name, field, func(v any) (int, *value.Flaw) { return value.ParseInt(v, low, high) }, strconv.Itoa)
}

// flag returns a key whose value is true or false.
func flag[T any](name string, field func(*T) *bool) key[T] {
	return single(name, field, value.ParseBool, strconv.FormatBool)
}

// fraction returns a key whose value is a number that check accepts.
func fraction[T any](name string, check func(float64) *value.Flaw, field func(*T) *float64) key[T] {
	return single(name, field, func(v any) (float64, *value.Flaw) {
		n, f := value.ParseFloat(v)
		if f == nil {
			f = check(n)
		}
		return n, f
	}, func(n float64) string { return fmt.Sprint(n) })
}

// duration returns a key whose value is a length of time above zero.
func duration[T any](name string, field func(*T) *time.Duration) key[T] {
	return durationFrom(name, 1, field)
}

// durationFrom returns a key whose value is a length of time of at least low.
func durationFrom[T any](name string, low time.Duration, field func(*T) *time.Duration) key[T] {
	return single(name, field, func(v any) (time.Duration, *value.Flaw) { return value.ParseDuration(v, low) }, value.DurationText)
}

// size returns a key whose value is a number of bytes from low to high.
func size[T any, N int | int64](name string, low, high int64, field func(*T) *N) key[T] {
	return single(name, field, func(v any) (N, *value.Flaw) {
		n, f := value.ParseSize(v, low, high)
		return N(n), f
	}, func(n N) string { return value.SizeText(int64(n)) })
}

// table returns a key whose value is a table with keys of its own.
func table[T, U any](name string, keys []key[U], field func(*T) *U) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		readTable(r, field(t), path, v, keys)
	}, func(d *differ, old, new *T, path string) {
		diffTable(d, field(old), field(new), path, keys)
	}}
}

// readTexts calls each with every text of the list at path. hint says what to write
// in place of an element that is not a text.
func readTexts(r *reader, path string, v any, hint string, each func(at, s string)) {
	readList(r, path, v, func(at string, v any) {
		if s, ok := v.(string); ok {
			each(at, s)
		} else {
			r.refuseValue(at, value.WrongKind(v, "text", hint))
		}
	})
}

// readList calls each with every element of the list at path.
func readList(r *reader, path string, v any, each func(at string, v any)) {
	list, ok := v.([]any)
	if !ok {
		r.refuse(path, v, value.WrongKind(v, "a list", "write [ ... ] around it"))
		return
	}
	for i, v := range list {
		each(tomlfile.Element(path, i), v)
	}
}

// readTables returns the elements of a non-empty array of tables: [[x]], or a list
// of inline tables. If v is something else, r has noted it and ok is false.
func readTables(r *reader, path string, v any, what string) (list []any, ok bool) {
	switch v := v.(type) {
	case []any:
		list = v
	case []map[string]any:
		for _, t := range v {
			list = append(list, t)
		}
	default:
		r.refuse(path, v, value.WrongKind(v, "a list of tables",
			fmt.Sprintf("write [[%s]], once for each %s", tomlfile.Header(path), what)))
		return nil, false
	}
	if len(list) == 0 {
		r.refuseValue(path, value.Wrong("is empty", fmt.Sprintf("name at least one %s", what)))
	}
	return list, len(list) > 0
}
