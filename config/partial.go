package config

import (
	"os"
	"strings"

	"github.com/BurntSushi/toml"
)

// LoadPartial returns Default with the PIDFile and the Admin.Socket of a file that
// has mistakes elsewhere: enough to find the command socket. path is that of Find. A
// file that has neither, or is missing, is not an error.
func LoadPartial(path string) *Config {
	if path == "" {
		path = FileName
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Default()
	}
	c := partial(string(data))
	c.Source = path
	return c
}

func partial(src string) *Config {
	c := Default()
	src = strings.TrimPrefix(src, "\xef\xbb\xbf")
	at, _ := findSpots(src)
	if s := textAt(src, at, "pid_file"); checkPath(s) == nil {
		c.PIDFile = s
	}
	if s := textAt(src, at, "admin.socket"); checkAdminSocket(s) == nil {
		c.Admin.Socket = s
	}
	return c
}

// textAt returns the value at path, or "" if it is not a text. What follows it need
// not be TOML.
func textAt(src string, at spots, path string) string {
	s, ok := at[path]
	if !ok || s.value >= len(src) || !strings.ContainsAny(src[s.value:s.value+1], `"'`) {
		return ""
	}
	f := finder{src: src, off: s.value}
	f.text()
	var value struct{ V string }
	if _, err := toml.Decode("V = "+src[s.value:f.off], &value); err != nil {
		return ""
	}
	return value.V
}
