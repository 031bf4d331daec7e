package config

import (
	"fmt"
	"strings"

	"lb/config/hints"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// readSetFields is readFields for fields that a route sets. Their values are sent as they
// stand, so it refuses those that were written to be filled in.
func readSetFields(r *schema.Reader, path string, v any, check func(string) *value.Flaw) []Field {
	fields := readFields(r, path, v, check)
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
