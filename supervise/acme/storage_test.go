package acme

import (
	"testing"

	"github.com/caddyserver/certmagic"
)

// TestNoAccountIsFound: the account of one name, which is being written, is no contact for
// another: CertMagic would send "default" as an address, which the authority refuses.
func TestNoAccountIsFound(t *testing.T) {
	s := &storage{&certmagic.FileStorage{Path: t.TempDir()}, nil}
	const ca = "acme/ca.example-directory"
	for _, key := range []string{ca + "/users/default/default.json", ca + "/sites/a.json"} {
		if err := s.FileStorage.Store(t.Context(), key, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if keys, err := s.List(t.Context(), ca+"/users", false); err == nil || len(keys) > 0 {
		t.Errorf("accounts: %v, %v", keys, err)
	}
	if keys, err := s.List(t.Context(), ca+"/sites", false); err != nil || len(keys) != 1 {
		t.Errorf("sites: %v, %v", keys, err)
	}
}
