// Package load reads the configuration for commands: from a file, or from a store such as
// etcd.
package load

import (
	"os"
	"path/filepath"

	"lb/config"
	"lb/supervise/remote"
)

// Find is config.Find, also for the URL of a store such as etcd.
func Find(path string, f config.Flags) (*config.Config, error) {
	if !remote.Is(path) {
		return config.Find(path, f)
	}
	s, err := open(path)
	if err != nil {
		return nil, err
	}
	data, err := s.Read()
	if err != nil {
		return nil, err
	}
	return config.Read(s.Name(), data, f)
}

// FindOf is Find for a command to a running lb: while a store is away, the copy of what lb has
// accepted last says as much. err is nil, config.Errors, or of something that cannot be read.
func FindOf(path string, f config.Flags) (cfg *config.Config, err error) {
	if cfg, err = Find(path, f); err == nil || !remote.Is(path) {
		return cfg, err
	}
	if s, bad := open(path); bad == nil {
		if data, none := s.Copy(); none == nil {
			return config.Read(s.Name(), data, f)
		}
	}
	return nil, err
}

// Partial is config.LoadPartial, also for the URL of a store.
func Partial(path string) *config.Config {
	if !remote.Is(path) {
		return config.LoadPartial(path)
	}
	if s, err := open(path); err == nil {
		if data, err := s.Read(); err == nil {
			return config.ReadPartial(s.Name(), data)
		}
	}
	return config.Default()
}

func open(url string) (*remote.Store, error) {
	return remote.Open(url, remote.Options{Getenv: os.Getenv, Root: os.Geteuid() == 0})
}

// Loader returns a function, for one goroutine at a time, that reads the configuration at path
// with the flags applied, and the store that it is in, or nil if that is a file.
func Loader(path string, flags config.Flags) (load func() (*config.Config, error), s *remote.Store, err error) {
	if !remote.Is(path) {
		return fromFile(path, flags), nil, nil
	}
	if s, err = open(path); err != nil {
		return nil, nil, err
	}
	return func() (*config.Config, error) {
		data, err := s.Load()
		if err != nil {
			return nil, err
		}
		return config.Read(s.Name(), data, flags)
	}, s, nil
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
