package explain

import (
	"strings"

	"lb/internal/redact"
)

// fieldLine returns a field line without a credential, as its whole value or in a URL there.
func fieldLine(line string) string {
	name, value, ok := strings.Cut(line, ":")
	switch {
	case !ok || value == "":
		return line
	case redact.Secret(name):
		return name + ": " + redact.Mark
	}
	return name + ":" + redact.URL(value)
}
