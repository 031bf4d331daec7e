package config

import (
	"testing"

	"lb/internal/testkit"
)

// TestLoadPartial: a file with a mistake in it still says where the socket is.
func TestLoadPartial(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct{ src, pidFile, socket string }{
		{"", "", ""},
		{"pid_file = \"/run/lb.pid\"\nprot = 80\n[admin]\nsocket = '/run/a b'\n", "/run/lb.pid", "/run/a b"},
		{"pid_file = \"/run/lb\\u002epid\" # text\nadmin.socket = \"off\"\nport = \n", "/run/lb.pid", "off"},
		{"[[backends]\nhost = \"a\"\n[admin]\nsocket = \"/s\"\n", "", "/s"},
		{"port = \"80\n[admin]\nsocket = \"/s\"\n", "", ""}, // the text swallows the rest
		{"pid_file = 3\nadmin.socket = [\"/s\"]\n", "", ""},
		{"pid_file = \"", "", ""},
		{"pid_file =", "", ""},
		{"admin = { socket = \"/s\" ", "", "/s"},
		{"[[backends]]\nsocket = \"/b\"\npid_file = \"/c\"\n", "", ""},
	} {
		testkit.WriteFile(t, FileName, tc.src)
		for _, path := range []string{"", FileName} {
			if c := LoadPartial(path); c.PIDFile != tc.pidFile || c.Admin.Socket != tc.socket {
				t.Errorf("%q: pid_file %q, socket %q", tc.src, c.PIDFile, c.Admin.Socket)
			}
		}
	}
	if c := LoadPartial("missing.toml"); c.PIDFile != "" || c.Admin.Socket != "" {
		t.Errorf("of no file: %+v", c)
	}
}
