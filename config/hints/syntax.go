package hints

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format returns what src looks like, which is not TOML: "YAML", "nginx's configuration".
// It returns "" if it may be TOML with a mistake. name is that of the file.
func Format(name, src string) string {
	lines := significant(src)
	count := func(pattern string) (n int) {
		re := regexp.MustCompile(pattern)
		for _, line := range lines {
			if re.MatchString(line) {
				n++
			}
		}
		return n
	}
	most := func(n int) bool { return n > 0 && 2*n > len(lines) }
	start := strings.TrimSpace(src)
	switch {
	case strings.HasPrefix(src, "\xff\xfe"), strings.HasPrefix(src, "\xfe\xff"):
		return "UTF-16"
	case !utf8.ValidString(src), strings.ContainsRune(src, 0):
		return "no text"
	case strings.HasPrefix(start, "{"), regexp.MustCompile(`^\[\s*[{"]`).MatchString(start) && !strings.Contains(start, "="):
		return "JSON"
	case strings.HasPrefix(start, "<"):
		return "XML"
	case count(`^(global|defaults|(frontend|backend|listen)\s+\S+)\s*$`) > 0 && count(`^\s+\S`) > 0:
		return "HAProxy's configuration"
	case most(count(`[;{}]\s*$`)) && count(`;\s*$`) > 0:
		return "nginx's configuration"
	case count(`\{\s*$`) > 0 && count(`^\s*(reverse_proxy|respond|file_server|encode|tls|handle|root)\b`) > 0:
		return "a Caddyfile"
	case strings.HasPrefix(start, "---"), strings.HasPrefix(start, "%YAML"), most(count(`^\s*(- )*[\w."'-]+:(\s|$)|^\s*- `)):
		return "YAML"
	}
	low := strings.ToLower(name)
	for suffix, format := range map[string]string{".yaml": "YAML", ".yml": "YAML", ".json": "JSON", "caddyfile": "a Caddyfile", "nginx.conf": "nginx's configuration"} {
		if strings.HasSuffix(low, suffix) {
			return format
		}
	}
	return ""
}

// significant returns the lines of src that are neither empty nor comments.
func significant(src string) (lines []string) {
	for line := range strings.Lines(src) {
		line = strings.TrimRight(line, "\r\n")
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

var (
	header  = regexp.MustCompile(`^(\[{1,2})\s*([\w.-]+)\s*(\]{0,2})\s*(#.*)?$`)
	colon   = regexp.MustCompile(`^([\w.-]+)\s*:\s*(\S.*)$`)
	blank   = regexp.MustCompile(`^([\w.-]+)\s+([^\s=]\S*?);?$`)
	pair    = regexp.MustCompile(`^([\w."-]+)\s*=\s*(.*)$`)
	leading = regexp.MustCompile(`^-?0+\d+$`)
	// A number and m alone is a length of time.
	bareSize = regexp.MustCompile(`^(\d+)((?i:[kg]|[kmg](?:b|ib)))$`)
	twice    = regexp.MustCompile(`^Key '(.*)' has already been defined`)
)

// Syntax returns what to do about a mistake of syntax in a line of the file, or "" if
// that is not plain. message is the decoder's.
func Syntax(line, message string) string {
	text := strings.TrimSpace(line)
	switch m := twice.FindStringSubmatch(message); {
	case m != nil && strings.HasPrefix(text, "[") && isAny(m[1], arrays...):
		return fmt.Sprintf("write [[%s]] each time", m[1])
	case m != nil && strings.HasPrefix(text, "["):
		return fmt.Sprintf("keep one [%s], with all of its keys", m[1])
	case m != nil:
		return "keep one of the two"
	case strings.HasPrefix(text, "//"), strings.HasPrefix(text, ";"), strings.HasPrefix(text, "--"), strings.HasPrefix(text, "/*"):
		return "a comment begins with #"
	case strings.ContainsAny(text, "\u201c\u201d\u201e\u2018\u2019"):
		return `write straight quotes: "`
	}
	if m := header.FindStringSubmatch(text); m != nil {
		return forHeader(m[1], m[2], m[3])
	}
	if m := pair.FindStringSubmatch(text); m != nil {
		return forPair(m[1], m[2], message)
	}
	if m := colon.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("write %s = %s", m[1], quoted(strings.TrimRight(m[2], ",;")))
	}
	if m := blank.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("write %s = %s", m[1], quoted(m[2]))
	}
	return ""
}

// arrays are the tables that there may be many of.
var arrays = []string{"backends", "pools", "routes", "pools.backends", "listeners", "tls.certs"}

// forHeader returns how to write a header that lacks a bracket.
func forHeader(opening, name, closing string) string {
	right := fmt.Sprintf("[%s]", name)
	if isAny(name, arrays...) {
		right = fmt.Sprintf("[[%s]]", name)
	}
	if len(opening) == len(closing) {
		return ""
	}
	if len(closing) > len(opening) && !isAny(name, arrays...) {
		return "a bracket is too many: " + right
	}
	if len(opening) > len(closing) && len(closing) > 0 && !isAny(name, arrays...) {
		return "a bracket is too many: " + right
	}
	return "a bracket is missing: " + right
}

// forPair returns what to do about a value of a key.
func forPair(key, value, message string) string {
	if hash := strings.Index(value, " #"); hash >= 0 && strings.Count(value[:hash], `"`)%2 == 0 {
		value = value[:hash]
	}
	value = strings.TrimSpace(value)
	bare := strings.TrimRight(value, ";, ")
	switch {
	case value == "":
		return fmt.Sprintf("write a value after %s =", key)
	case strings.ContainsAny(value[:1], `[{`):
		return ""
	case strings.HasPrefix(value, `"`) && strings.Count(value, `"`)%2 == 1:
		return "a quote is missing at the end"
	case strings.HasPrefix(value, `"`) && strings.Contains(message, "escape"):
		return `write it in single quotes, in which \ is a letter`
	case bare != value && bare != "" && quoted(bare) == bare:
		return fmt.Sprintf("remove the %q at the end", value[len(bare):])
	case strings.ContainsAny(value[:1], `"'`):
		return ""
	}
	if right := quoted(bare); right != bare && right[0] == '"' {
		return fmt.Sprintf("write %s in quotes", right)
	} else if right != bare {
		return "write " + right
	}
	return ""
}

// quoted returns value, which stands without quotes, as TOML has it.
func quoted(value string) string {
	value = strings.TrimSpace(value)
	switch low := strings.ToLower(value); {
	case value == "":
		return `""`
	case isAny(low, "true", "yes", "on"):
		return "true"
	case isAny(low, "false", "no"):
		return "false"
	case leading.MatchString(value):
		n, _ := strconv.Atoi(value)
		return strconv.Itoa(n)
	case strings.ContainsAny(value[:1], `"'[{`):
		return value
	}
	if m := bareSize.FindStringSubmatch(value); m != nil {
		return strconv.Quote(m[1] + strings.ToUpper(m[2][:1]) + "iB")
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil && strings.Trim(value, "0123456789.-+_e") == "" {
		return value
	}
	return strconv.Quote(value)
}
