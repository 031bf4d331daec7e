package localca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// DefaultStorage is the value of tls.acme.storage that leaves the choice to Storage.
const DefaultStorage = "/var/lib/lb/acme"

// Storage returns the folder to keep accounts, keys and certificates in, which it makes
// if it is not there. configured is tls.acme.storage. In the place of the default, users
// who may not write there get a folder of their own.
func Storage(configured string) (string, error) {
	own := ""
	if configured == DefaultStorage {
		own = userStorage()
	}
	return choose(configured, own)
}

// choose returns configured, or own if that may not be written and own is not "".
func choose(configured, own string) (string, error) {
	err := prepare(configured)
	if err != nil && own != "" && forbidden(err) {
		configured, err = own, prepare(own)
	}
	if err != nil {
		return "", fmt.Errorf("tls.acme.storage: %w; let lb's user write there, or name another folder", err)
	}
	return configured, nil
}

// Root is the certificate that clients have to trust.
type Root struct {
	Path string
	PEM  []byte
	X509 *x509.Certificate
}

// FindRoot returns the root of the internal authority; configured is as in Storage. It
// makes nothing. Without a root the error is that of the place where it should be, which
// may be fs.ErrNotExist.
func FindRoot(configured string) (*Root, error) {
	places := []string{configured}
	if own := userStorage(); configured == DefaultStorage && own != "" {
		places = append(places, own)
	}
	var first error
	for _, place := range places {
		path := RootPath(place)
		text, err := os.ReadFile(path)
		switch {
		case err == nil:
			cert, err := parseRoot(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return &Root{path, text, cert}, nil
		case first == nil || errors.Is(first, fs.ErrNotExist):
			first = err
		}
	}
	return nil, first
}

// userStorage returns the folder of this user, or "" if it has no home.
func userStorage() string {
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // else it is to be ignored, says the specification
		home, err := os.UserHomeDir()
		if err != nil || !filepath.IsAbs(home) {
			return ""
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "lb", "acme")
}

// forbidden reports whether err says that this user may not write there, or nobody.
func forbidden(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// prepare makes dir, for this user alone, and checks that files can be made there.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
