package config

import "testing"

// FuzzLoadPartial: no file makes it panic, and it finds the same places as Parse in a
// file that is accepted.
func FuzzLoadPartial(f *testing.F) {
	for _, src := range []string{"pid_file = \"/run/lb.pid\"\nport = \n[admin]\nsocket = '/s'\n", "admin = { socket = \"\"\"a\"\"\" }", "pid_file = \"\\"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		got := partial([]byte(src))
		if c, err := Parse("", []byte(src)); err == nil && (c.PIDFile != got.PIDFile || c.Admin.Socket != got.Admin.Socket) {
			t.Errorf("%q: %q and %q, want %q and %q", src, got.PIDFile, got.Admin.Socket, c.PIDFile, c.Admin.Socket)
		}
	})
}
