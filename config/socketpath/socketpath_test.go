package socketpath

import (
	"slices"
	"testing"

	"lb/config"
)

func TestSocket(t *testing.T) {
	for _, tc := range []struct {
		socket, pidFile, runtime string
		root                     bool
		want                     []string
	}{
		{"", "", "", false, nil},
		{"", "", "", true, []string{"/run/lb.sock"}},
		{"", "", "/run/user/7", false, []string{"/run/user/7/lb.sock"}},
		{"", "", "/run/user/0", true, []string{"/run/user/0/lb.sock", "/run/lb.sock"}},
		{"", "", "not/absolute", false, nil}, // which the XDG Base Directory Specification has ignored
		{"", "/run/lb/lb.pid", "", false, []string{"/run/lb/lb.sock"}},
		{"", "/run/lb/pid", "", false, []string{"/run/lb/pid.sock"}},
		{"", "lb.pid", "/run/user/7", false, []string{"lb.sock"}},
		{"", "/run/lb.pid", "/run/user/0", true, []string{"/run/lb.sock"}},
		{"/a/b", "/run/lb/lb.pid", "/run/user/7", true, []string{"/a/b"}},
		{"off", "/run/lb/lb.pid", "/run/user/7", true, nil},
	} {
		c := config.Default()
		c.Admin.Socket, c.PIDFile = tc.socket, tc.pidFile
		getenv := func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": tc.runtime}[name] }
		all := slices.Clone(tc.want)
		if tc.socket == "" && tc.pidFile == "" { // the service
			all = append(all, "/run/lb/lb.sock")
		}
		if got := All(c, getenv, tc.root); !slices.Equal(got, all) {
			t.Errorf("%+v: %q", tc, got)
		}
		first := ""
		if len(tc.want) > 0 {
			first = tc.want[0]
		}
		if got := Primary(c, getenv, tc.root); got != first {
			t.Errorf("%+v: %q is the one", tc, got)
		}
	}
}
