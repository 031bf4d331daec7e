package supervise

import (
	"io"
	"log/slog"
)

// leveledLog returns a log of key=value lines on w. What level says may change.
func leveledLog(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// setLevel sets v to debug, info, warn or error; anything else is info.
func setLevel(v *slog.LevelVar, name string) {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) != nil {
		l = slog.LevelInfo
	}
	v.Set(l)
}
