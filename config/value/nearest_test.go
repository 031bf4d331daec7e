package value

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"host", "port", "client_idle", "client_body"}
	for word, want := range map[string]string{
		"prot": "port", "hosts": "host", "client_idel": "client_idle", "clientbody": "client_body",
		"": "", "x": "", "zzzz": "", "PORT": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("nearest to %q: %q, want %q", word, got, want)
		}
	}
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := Distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance of %q and %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
