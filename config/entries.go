package config

import (
	"fmt"
	"regexp"
	"strings"

	"lb/config/hints"
	"lb/config/jsonfile"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// Backends as sources of discovery have them: the keys of [[backends]] in JSON, and address
// in the place of host and port.

// entriesAt is the path under which they are read, so that hints are those of [[backends]].
// No error has it.
const entriesAt = "backends"

// addressKey is the key that [[backends]] has not.
const addressKey = "address"

// ParseEntries checks data, the content of a file called name: an array of backends, which
// may be empty. It returns Errors if data is not accepted.
func ParseEntries(name string, data []byte) ([]Backend, error) {
	r, tree, err := readJSON(name, data, entriesAt, `[{"host": "10.0.0.1", "port": 8080}]`)
	if err != nil {
		return nil, err
	}
	var list []Backend
	schema.ReadList(r, entriesAt, tree, func(at string, v any) {
		if b, ok := readEntry(r, at, v); ok {
			list = append(list, b)
		}
	})
	if len(r.Errs) == 0 {
		refuseTwins(r, list)
	}
	if len(r.Errs) > 0 {
		return nil, inJSON(r, entriesAt)
	}
	return list, nil
}

// ParseEntry is ParseEntries for one backend, an object.
func ParseEntry(name string, data []byte) (Backend, error) {
	const at = entriesAt + "[0]"
	r, tree, err := readJSON(name, data, at, `{"host": "10.0.0.1", "port": 8080}`)
	if err != nil {
		return Backend{}, err
	}
	b, ok := readEntry(r, at, tree)
	if !ok {
		return Backend{}, inJSON(r, at)
	}
	return b, nil
}

// readJSON returns a reader of data, and the value in it. form is what may stand there.
func readJSON(name string, data []byte, root, form string) (*schema.Reader, any, error) {
	tree, places, bad := jsonfile.Read(data, root)
	r := &schema.Reader{Name: name, File: places, Unknown: unknownInEntry}
	if bad != nil {
		r.Errs = Errors{{File: name, Line: bad.Line, Column: bad.Column, Key: bad.Key, What: bad.Message, Hint: "write " + form}}
		return nil, nil, inJSON(r, root)
	}
	_, isList := tree.([]any)
	_, isTable := tree.(map[string]any)
	switch list := form[0] == '['; {
	case list && !isList:
		r.RefuseValue(root, value.WrongKind(tree, "a list", "write "+form))
	case !list && !isTable:
		r.RefuseValue(root, value.WrongKind(tree, "an object", "write "+form))
	}
	return r, tree, inJSON(r, root)
}

// readEntry reads the backend at path. It returns false if r has noted a flaw.
func readEntry(r *schema.Reader, path string, v any) (b Backend, ok bool) {
	table, _ := v.(map[string]any)
	address, given := table[addressKey]
	if !given {
		return readBackend(r, path, v)
	}
	before, at := len(r.Errs), tomlfile.Under(path, addressKey)
	text, f := value.ParseText(address)
	if f == nil {
		b, f = parseBackend(text)
	}
	r.RefuseValue(at, f)
	for _, name := range []string{"host", "port", "socket"} {
		r.RefuseHere(tomlfile.Under(path, name), value.Wrong("is in the address already", "keep one of the two"))
	}
	delete(table, addressKey)
	schema.ReadTable(r, &b, path, table, backendKeys)
	return b, len(r.Errs) == before
}

// refuseTwins refuses a backend that is in list twice; list has all that r has read.
func refuseTwins(r *schema.Reader, list []Backend) {
	first := map[string]int{}
	for i, b := range list {
		at := tomlfile.Element(entriesAt, i)
		if n, twice := first[Identity(b)]; twice {
			r.RefuseValue(at, duplicate(b, fmt.Sprintf("in line %d", n)))
			continue
		}
		first[Identity(b)], _ = r.File.Value(at)
	}
}

// unknownInEntry is unknown for JSON, which has no other table that a key may belong to.
func unknownInEntry(_, name string, v any, known []string) *value.Flaw {
	known = append([]string{addressKey}, known...)
	hint := hints.Word(entriesAt, name, v)
	if near := value.Nearest(name, known); hint == "" && near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	if hint == "" {
		hint = "known here: " + strings.Join(known, ", ")
	}
	return value.Wrong("unknown key", hint)
}

// setting is a key and its value in TOML, as hints have them.
var setting = regexp.MustCompile(`\b([a-z_]+) = ("[^"]*"|[0-9]+|true|false)`)

// inJSON returns what r has noted in the terms of a JSON text, whose value is at root, or nil.
func inJSON(r *schema.Reader, root string) error {
	if len(r.Errs) == 0 {
		return nil
	}
	for _, e := range r.Errs {
		e.Key = strings.TrimPrefix(strings.TrimPrefix(e.Key, root), ".")
		e.Hint = setting.ReplaceAllString(e.Hint, `"$1": $2`)
	}
	return r.Errs.InOrder()
}
