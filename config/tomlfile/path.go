package tomlfile

import (
	"strconv"
	"strings"
)

// A path names a key or an element as it would be written in one line:
// "timeouts.connect", `pools[0].backends[1]`, `routes[0].headers."a b"`.

// Under returns the path of the key called name in the table at path, which is "" for
// the top of the file.
func Under(path, name string) string {
	if !bare(name) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// Element returns the path of element i, counted from 0, of the array at path.
func Element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// Header returns path without the numbers of elements, as a [header] has it.
func Header(path string) string {
	for {
		before, after, ok := strings.Cut(path, "[")
		if !ok {
			return path
		}
		_, rest, _ := strings.Cut(after, "]")
		path = before + rest
	}
}

// bare reports whether name needs no quotes as a key of TOML.
func bare(name string) bool {
	for i := range len(name) {
		if !bareByte(name[i]) {
			return false
		}
	}
	return name != ""
}

func bareByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
