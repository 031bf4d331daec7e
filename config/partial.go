package config

import (
	"os"

	"lb/config/tomlfile"
	"lb/config/value"
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
	return ReadPartial(path, data)
}

// ReadPartial is LoadPartial for data, the content of a file called name.
func ReadPartial(name string, data []byte) *Config {
	c := partial(data)
	c.Source = name
	return c
}

func partial(data []byte) *Config {
	c := Default()
	f := tomlfile.New(data)
	if s := f.Text("pid_file"); value.CheckFile(s) == nil {
		c.PIDFile = s
	}
	if s := value.TrimUnix(f.Text("admin.socket")); checkAdminSocket(s) == nil {
		c.Admin.Socket = s
	}
	return c
}
