package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"lb/config"
	"lb/supervise/remote"
)

// find is config.Find, also for the URL of a store such as etcd.
func find(path string, f config.Flags) (*config.Config, error) {
	if !remote.Is(path) {
		return config.Find(path, f)
	}
	s, err := openStore(path)
	if err != nil {
		return nil, err
	}
	data, err := s.Read()
	if err != nil {
		return nil, err
	}
	return config.Read(s.Name(), data, f)
}

// findOf is find for a command to a running lb: while a store is away, the copy of what lb has
// accepted last says as much. err is nil, config.Errors, or of something that cannot be read.
func findOf(path string, f config.Flags) (cfg *config.Config, err error) {
	if cfg, err = find(path, f); err == nil || !remote.Is(path) {
		return cfg, err
	}
	if s, bad := openStore(path); bad == nil {
		if data, none := s.Copy(); none == nil {
			return config.Read(s.Name(), data, f)
		}
	}
	return nil, err
}

// loadPartial is config.LoadPartial, also for the URL of a store.
func loadPartial(path string) *config.Config {
	if !remote.Is(path) {
		return config.LoadPartial(path)
	}
	if s, err := openStore(path); err == nil {
		if data, err := s.Read(); err == nil {
			return config.ReadPartial(s.Name(), data)
		}
	}
	return config.Default()
}

func openStore(url string) (*remote.Store, error) {
	return remote.Open(url, remote.Options{Getenv: os.Getenv, Root: os.Geteuid() == 0})
}

// fromStore returns a function that reads the configuration in s with the flags applied.
func fromStore(s *remote.Store, flags config.Flags) func() (*config.Config, error) {
	return func() (*config.Config, error) {
		data, err := s.Load()
		if err != nil {
			return nil, err
		}
		return config.Read(s.Name(), data, flags)
	}
}

// fromFile returns a function, for one goroutine at a time, that reads the file at path with
// the flags applied. Once it has found a file, later calls read the same path, wherever lb was
// started, and fail if the file is gone instead of returning the defaults.
func fromFile(path string, flags config.Flags) func() (*config.Config, error) {
	return func() (*config.Config, error) {
		cfg, err := config.Find(path, flags)
		if err != nil || cfg.Source == "" {
			return cfg, err
		}
		if path, err = filepath.Abs(cfg.Source); err == nil {
			cfg.Source = path
		}
		return cfg, err
	}
}

// twoFiles is the error of a command that is given a file in two ways.
func twoFiles(a, b string) error {
	return config.Errors{{Key: "--config", What: fmt.Sprintf("two files, %q and %q", remote.Shown(a), remote.Shown(b)), Hint: "check one at a time"}}
}
