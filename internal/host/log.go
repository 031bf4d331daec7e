package host

import (
	"io"
	"log/slog"
)

// NewLevelLog returns a log of key=value lines on w, and its level, which may be
// changed while the log is used. See SetLevel for level.
func NewLevelLog(w io.Writer, level string) (*slog.Logger, *slog.LevelVar) {
	v := &slog.LevelVar{}
	SetLevel(v, level)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: v})), v
}

// SetLevel sets v to debug, info, warn or error; anything else is info.
func SetLevel(v *slog.LevelVar, name string) {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) != nil {
		l = slog.LevelInfo
	}
	v.Set(l)
}
