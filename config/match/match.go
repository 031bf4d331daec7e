// Package match has the conditions on requests that routes and rate limits share, as keys.
package match

import (
	"fmt"
	"slices"
	"strings"

	"lb/config/hints"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// Conditions are those of a request that is taken.
type Conditions struct {
	Host    string   // in lower case, without port or brackets; "*.example.com": any name below; "": any
	Path    string   // a prefix of whole segments: "/a" takes /a and /a/b, not /ab; "/": any
	Scheme  string   // "http" or "https", of the client's conn to lb; "": either
	Methods []string // any of these; none: every method
	Headers []Field  // all of these, with exactly these values; names in lower case
}

// Field is one field of a head. Lists of them are sorted by name in lower case.
type Field struct{ Name, Value string }

// Keys are the keys of Conditions.
var Keys = []schema.Key[Conditions]{
	schema.Text("host", value.CheckHostPattern, func(c *Conditions) *string { return &c.Host }),
	schema.Text("path", value.CheckPathPrefix, func(c *Conditions) *string { return &c.Path }),
	schema.Special("scheme", readScheme, schema.Shown(func(c *Conditions) string { return value.QuoteText(c.Scheme) })),
	schema.Special("methods", readMethods, schema.Shown(func(c *Conditions) string { return value.ListText(slices.Sorted(slices.Values(c.Methods))) })),
	schema.Special("headers", func(r *schema.Reader, c *Conditions, path string, v any) {
		c.Headers = ReadFields(r, path, v, value.CheckCondition)
		for i := range c.Headers {
			c.Headers[i].Name = strings.ToLower(c.Headers[i].Name)
		}
	}, func(d *schema.Differ, old, new *Conditions, path string) {
		DiffFields(d, path, old.Headers, new.Headers)
	}),
}

// readScheme reads the scheme by which clients come.
func readScheme(r *schema.Reader, c *Conditions, path string, v any) {
	s, f := value.ParseText(v)
	if f == nil {
		f = value.OneOf(s, "scheme", "http", "https")
	}
	r.Refuse(path, v, f)
	c.Scheme = s
}

// readMethods reads names of methods. They are case-sensitive (RFC 9110 section 9.1).
func readMethods(r *schema.Reader, c *Conditions, path string, v any) {
	c.Methods = nil
	schema.ReadTexts(r, path, v, `write a method in quotes, such as "GET"`, func(at, s string) {
		f := value.CheckToken(s)
		switch {
		case f != nil:
			r.RefuseValue(at, f)
		case s != strings.ToUpper(s):
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("there is no method %q", s), fmt.Sprintf("write %q", strings.ToUpper(s))))
		case slices.Contains(c.Methods, s):
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%q is there already", s), "remove one"))
		default:
			c.Methods = append(c.Methods, s)
		}
	})
	if list, ok := v.([]any); ok && len(list) == 0 {
		r.RefuseValue(path, value.Wrong("is empty", "name at least one method, or leave it out for all"))
	}
}

// ReadFields reads a table of fields, and sorts them by name. check accepts the names.
func ReadFields(r *schema.Reader, path string, v any, check func(string) *value.Flaw) (fields []Field) {
	table, ok := v.(map[string]any)
	if !ok {
		r.RefuseValue(path, value.WrongKind(v, "a table", `write { "X-Name" = "value" }`))
		return nil
	}
	for name, v := range table {
		at := tomlfile.Under(path, name)
		if f := check(name); f != nil {
			r.RefuseKey(at, f)
			continue
		}
		s, f := value.ParseText(v)
		if f != nil {
			r.RefuseValue(at, f)
			continue
		}
		r.RefuseValue(at, value.CheckFieldValue(s))
		fields = append(fields, Field{name, s})
	}
	slices.SortFunc(fields, func(a, b Field) int {
		if n := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range fields[min(1, len(fields)):] {
		if name := fields[i+1].Name; strings.EqualFold(fields[i].Name, name) {
			at := tomlfile.Under(path, name)
			r.RefuseKey(at, value.Wrong(fmt.Sprintf("is the same field as %s", fields[i].Name), "keep one of the two"))
		}
	}
	return fields
}

// ReadSetFields is ReadFields for fields that a route sets. Their values are sent as they
// stand, so it refuses those that were written to be filled in.
func ReadSetFields(r *schema.Reader, path string, v any, check func(string) *value.Flaw) []Field {
	fields := ReadFields(r, path, v, check)
	for _, f := range fields {
		at := tomlfile.Under(path, f.Name)
		if word, hint := hints.Variable(f.Value); word != "" {
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%s is not filled in here, but sent as it stands", word), hint))
		}
		if f.Value == "" && strings.EqualFold(f.Name, "host") {
			r.RefuseValue(at, value.Wrong("is empty, and no request is without it", "write a name, or leave it out for that of the client"))
		}
	}
	return fields
}

// DiffFields notes the names of the fields that differ, but not their values, which may
// be secret.
func DiffFields(d *schema.Differ, key string, old, new []Field) {
	if d.Show != nil {
		for _, f := range new {
			d.Show(tomlfile.Under(key, f.Name), value.QuoteText(f.Value))
		}
		return
	}
	var words []string
	for _, f := range new {
		i := slices.IndexFunc(old, func(o Field) bool { return o.Name == f.Name })
		if i < 0 {
			words = append(words, f.Name+" added")
		} else if old[i].Value != f.Value {
			words = append(words, f.Name+" changed")
		}
	}
	for _, f := range old {
		if !slices.ContainsFunc(new, func(n Field) bool { return n.Name == f.Name }) {
			words = append(words, f.Name+" removed")
		}
	}
	if len(words) > 0 {
		d.Detail(key + ": " + strings.Join(words, ", "))
	}
}
