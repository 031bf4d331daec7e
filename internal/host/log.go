package host

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// The formats of a log.
const (
	LogAuto = "auto" // text on a terminal, else JSON
	LogText = "text" // key=value
	LogJSON = "json" // an object in each line
)

// Log is a log whose level and format can be changed while it is used. Any goroutine may
// call its methods.
type Log struct {
	*slog.Logger
	level    slog.LevelVar
	json     atomic.Bool
	terminal bool // auto is text
	journal  bool // a line begins with its priority, <n>, which journald takes off
}

// NewLog returns a log on w, in the form that suits stream, to which w writes in the end; nil
// if that is no stream of this process. See Set for format and level.
func NewLog(w io.Writer, stream *os.File, format, level string) *Log {
	l := &Log{}
	if stream != nil {
		l.terminal, l.journal = isTerminal(stream), isJournal(stream, os.Getenv("JOURNAL_STREAM"))
	}
	l.Set(format, level)
	l.Logger = slog.New(newHandler(w, l))
	if q, ok := w.(*LogQueue); ok {
		q.log.Store(l)
	}
	return l
}

// Set sets the format, which is LogAuto unless it is another, and the level; see SetLevel.
func (l *Log) Set(format, level string) {
	l.json.Store(format == LogJSON || format != LogText && !l.terminal)
	l.SetLevel(level)
}

// SetLevel sets the level to debug, info, warn or error; anything else is info.
func (l *Log) SetLevel(name string) {
	var v slog.Level
	if v.UnmarshalText([]byte(name)) != nil {
		v = slog.LevelInfo
	}
	l.level.Set(v)
}

// Level returns the name of the level.
func (l *Log) Level() string { return strings.ToLower(l.level.Level().String()) }

// handler writes in the format of its log.
type handler struct {
	log        *Log
	out        *prefixed
	text, json slog.Handler
}

// prefixed is a writer that puts something before each line. A handler writes a line at once.
type prefixed struct {
	mu     sync.Mutex
	to     io.Writer
	prefix string
	line   []byte
}

// Write implements io.Writer. The handler holds the mutex.
func (p *prefixed) Write(b []byte) (n int, err error) {
	if p.prefix == "" {
		return p.to.Write(b)
	}
	p.line = append(append(p.line[:0], p.prefix...), b...)
	n, err = p.to.Write(p.line)
	return max(n-len(p.prefix), 0), err
}

func newHandler(w io.Writer, l *Log) *handler {
	out := &prefixed{to: w}
	return &handler{l, out,
		slog.NewTextHandler(out, &slog.HandlerOptions{Level: &l.level}),
		slog.NewJSONHandler(out, &slog.HandlerOptions{Level: &l.level, ReplaceAttr: readable})}
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.log.level.Level()
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.prefix = ""
	if h.log.journal {
		h.out.prefix = priority(r.Level)
	}
	if h.log.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.log, h.out, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.log, h.out, h.text.WithGroup(name), h.json.WithGroup(name)}
}

// priority returns what journald reads at the beginning of a line; see sd-daemon(3).
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// readable has JSON show values as text does: 30s, and not the number of nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case json.Marshaler, encoding.TextMarshaler, error:
	case fmt.Stringer:
		if a.Value.Kind() == slog.KindDuration || a.Value.Kind() == slog.KindAny {
			a.Value = slog.StringValue(v.String())
		}
	}
	return a
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
