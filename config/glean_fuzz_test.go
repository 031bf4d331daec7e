package config

import "testing"

// FuzzGlean: whatever stands in a file, there is no panic, and a place that is
// accepted is told by LoadPartial as well.
func FuzzGlean(f *testing.F) {
	for _, src := range []string{"pid_file = \"/run/lb.pid\"\nport = \n[admin]\nsocket = '/s'\n", "admin = { socket = \"\"\"a\"\"\" }", "pid_file = \"\\"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		got := glean(src)
		if c, err := Parse("", []byte(src)); err == nil && (c.PIDFile != got.PIDFile || c.Admin.Socket != got.Admin.Socket) {
			t.Errorf("%q: %q and %q, want %q and %q", src, got.PIDFile, got.Admin.Socket, c.PIDFile, c.Admin.Socket)
		}
	})
}
