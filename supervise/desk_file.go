package supervise

import (
	"lb/config"
	"lb/internal/filewatch"
)

// setWatch has the file of cfg watched, or not.
func (s *server) setWatch(cfg *config.Config) {
	path := cfg.Source
	if !cfg.Watch || s.o.Load == nil {
		path = ""
	}
	if path == s.watched {
		return
	}
	if s.watch != nil {
		s.watch.Close()
		s.watch = nil
	}
	if s.watched = path; path != "" {
		s.watch = filewatch.Start(path, s.log, s.fileChanged)
	}
}

// fileChanged brings to the desk that the file has settled, with the hash of its
// content. What was tried before is not tried again.
func (s *server) fileChanged(cancelled <-chan struct{}, hash string) {
	s.desk.tell("reloading", cancelled, func() {
		if hash != s.seen && s.refusal() == nil {
			s.reloadFor("file")
		}
	})
}
