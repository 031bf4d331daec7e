package localca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// open is Open, which must not fail.
func open(t *testing.T, storage string, now time.Time) *Authority {
	t.Helper()
	a, err := Open(storage, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// verify returns the error of a client that trusts roots, of a leaf for name at a time.
func verify(t *testing.T, a *Authority, leaf *Leaf, name string, at time.Time) error {
	t.Helper()
	pair, err := tls.X509KeyPair(leaf.Chain, leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at})
	return err
}

func TestInternal(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "a.localhost": true, "*.localhost": true, "db.internal": true, "10.0.0.1": true, "::1": true,
		"internal": false, "example.com": false, "notlocalhost": false, "localhost.example.com": false, "1.2.3.4.example.com": false,
	} {
		if got := Internal(name); got != want {
			t.Errorf("Internal(%q) = %v", name, got)
		}
	}
}

func TestLeaf(t *testing.T) {
	now := time.Now()
	a := open(t, t.TempDir(), now)
	leaf, err := a.Leaf([]string{"localhost", "*.localhost", "127.0.0.1", "::1"}, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "a.localhost", "127.0.0.1", "::1"} {
		if err := verify(t, a, leaf, name, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(t, a, leaf, "localhost", now.Add(2*time.Hour)); err == nil {
		t.Error("the leaf is believed after its end")
	}
	if err := verify(t, a, leaf, "example.com", now); err == nil {
		t.Error("the leaf is believed for another name")
	}
	if !leaf.Until.Equal(now.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("until %v, an hour after %v", leaf.Until, now)
	}
}

// TestRootStays opens one storage many times at once, as processes that start together
// do, and again later.
func TestRootStays(t *testing.T) {
	storage, now := t.TempDir(), time.Now()
	all := make([]*Authority, 8)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i], _ = Open(storage, now) })
	}
	wg.Wait()
	all = append(all, open(t, storage, now.Add(24*time.Hour)))
	for _, a := range all {
		if a == nil || !a.root.Equal(all[0].root) {
			t.Fatal("another root, or none")
		}
	}
	text, err := os.ReadFile(RootPath(storage))
	if err != nil || !bytes.Contains(text, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("root: %s, %v", text, err)
	}
	info, err := os.Stat(filepath.Join(storage, folder, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(storage); len(files) != 1 {
		t.Errorf("left in the storage: %v", files)
	}
}

func TestOldRootIsReplaced(t *testing.T) {
	storage, now := t.TempDir(), time.Now()
	first := open(t, storage, now)
	if again := open(t, storage, now.Add(rootLife-rootRenewal-time.Hour)); !again.root.Equal(first.root) {
		t.Error("replaced too early")
	}
	later := now.Add(rootLife - rootRenewal + time.Hour)
	second := open(t, storage, later)
	if second.root.Equal(first.root) || second.root.NotAfter.Before(later.Add(rootLife-time.Hour)) {
		t.Errorf("second root: until %v", second.root.NotAfter)
	}
	if old, _ := filepath.Glob(filepath.Join(storage, folder+"-until-*", rootFile)); len(old) != 1 {
		t.Errorf("the old root is gone: %v", old)
	}
}

// TestBrokenRoot checks that a root that may be trusted already is not replaced.
func TestBrokenRoot(t *testing.T) {
	for name, spoil := range map[string]func(dir, other string) error{
		"is missing":     func(dir, _ string) error { return os.Remove(filepath.Join(dir, keyFile)) },
		"no key in PEM":  func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, keyFile), nil, 0o600) },
		"no certificate": func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, rootFile), nil, 0o600) },
		"is not the key of": func(dir, other string) error {
			return os.Rename(filepath.Join(other, keyFile), filepath.Join(dir, keyFile))
		},
	} {
		storage, other := t.TempDir(), t.TempDir()
		open(t, storage, time.Now())
		open(t, other, time.Now())
		if err := spoil(filepath.Join(storage, folder), filepath.Join(other, folder)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(storage, time.Now()); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "remove that folder") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStorage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	got, err := Storage(dir)
	if err != nil || got != dir {
		t.Fatalf("%q, %v", got, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Storage(filepath.Join(file, "x"))
	if err == nil || !strings.Contains(err.Error(), "tls.acme.storage: ") || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "name another folder") {
		t.Errorf("a folder in a file: %v", err)
	}
}

func TestUserStorage(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Setenv("XDG_DATA_HOME", "")
	got := []string{userStorage()}
	t.Setenv("XDG_DATA_HOME", "/data")
	got = append(got, userStorage())
	t.Setenv("XDG_DATA_HOME", "relative")
	t.Setenv("HOME", "")
	got = append(got, userStorage())
	if want := []string{"/home/u/.local/share/lb/acme", "/data/lb/acme", ""}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFindRoot(t *testing.T) {
	storage := t.TempDir()
	if _, err := FindRoot(storage); !os.IsNotExist(err) {
		t.Errorf("nothing there: %v", err)
	}
	a := open(t, storage, time.Now())
	root, err := FindRoot(storage)
	if err != nil || root.Path != RootPath(storage) || !root.X509.Equal(a.root) || !bytes.Contains(root.PEM, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("%+v, %v", root, err)
	}
}

// TestChoose has a place in which not even root may write.
func TestChoose(t *testing.T) {
	const forbids = "/sys/lb-acme"
	if err := os.Mkdir(forbids, 0o700); !forbidden(err) {
		t.Skipf("nothing forbids it: %v", err)
	}
	own := filepath.Join(t.TempDir(), "own")
	if got, err := choose(forbids, own); got != own || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := choose(forbids, ""); err == nil || !strings.Contains(err.Error(), forbids) {
		t.Errorf("without another place: %v", err)
	}
}

// TestFallBack checks that a root in the place of a user is found.
func TestFallBack(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	if _, err := os.Stat(DefaultStorage); !os.IsNotExist(err) {
		t.Skipf("%s is there: %v", DefaultStorage, err)
	}
	storage := userStorage()
	if err := prepare(storage); err != nil {
		t.Fatal(err)
	}
	open(t, storage, time.Now())
	if root, err := FindRoot(DefaultStorage); err != nil || root.Path != RootPath(storage) {
		t.Errorf("%+v, %v", root, err)
	}
}
