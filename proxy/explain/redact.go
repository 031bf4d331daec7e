package explain

import (
	"strings"

	"lb/internal/redact"
)

// fieldLine returns a field line without a credential.
func fieldLine(line string) string {
	if name, value, ok := strings.Cut(line, ":"); ok && value != "" && redact.Secret(name) {
		return name + ": " + redact.Mark
	}
	return line
}
