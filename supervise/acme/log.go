package acme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// siteKey is the key of the name in the log of one name.
const siteKey = "site"

// Lines of certmagic that lb says in its own words.
const (
	saysRetry  = "will retry" // with the pause, which is known nowhere else
	saysFailed = "job failed" // an attempt of the regular renewal
)

// repeated are warnings and errors that come again in those lines, or in the error they
// carry.
var repeated = []string{saysRetry, saysFailed, "could not get certificate from issuer", "challenge failed", "validating authorization", "final attempt; giving up",
	"HTTP request failed; retrying"}

// pauses are those of certmagic between two attempts of the regular renewal, which it
// tells nobody. The last one is for all that follow.
var pauses = []time.Duration{
	1 * time.Minute, 2 * time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute,
	20 * time.Minute, 20 * time.Minute, 20 * time.Minute, 20 * time.Minute,
	30 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute,
	1 * time.Hour, 1 * time.Hour, 1 * time.Hour, 2 * time.Hour, 2 * time.Hour, 3 * time.Hour, 3 * time.Hour, 6 * time.Hour,
}

// event handles what certmagic says of s as an event.
func (m *Manager) event(s *site, event string, data map[string]any) {
	renewal, _ := data["renewal"].(bool)
	switch event {
	case "cert_obtaining":
		m.o.Log.Info("certificate is asked for", "name", s.name, "authority", s.issuer.CA, "renewal", renewal)
	case "cert_failed":
		m.mu.Lock()
		defer m.mu.Unlock()
		s.cause, _ = data["error"].(error)
	case "cert_obtained":
		m.take(s)
		m.mu.Lock()
		until := s.until()
		m.mu.Unlock()
		m.o.Log.Info(map[bool]string{false: "certificate obtained", true: "certificate renewed"}[renewal], "name", s.name, "until", until)
	}
}

// failed notes that an attempt to get the certificate of s has failed, and that the next
// one comes after pause; 0: not known.
func (m *Manager) failed(s *site, err error, pause time.Duration) {
	if s.ctx.Err() != nil {
		return // the name was given up
	}
	m.mu.Lock()
	if s.cause != nil {
		err, s.cause = s.cause, nil
	}
	s.fault, s.next = explain(err), time.Time{}
	if pause > 0 {
		s.next = time.Now().Add(pause)
	}
	what := "certificate could not be renewed, the old one is served"
	if s.real == nil {
		what = "certificate could not be obtained, one of lb's internal authority is served"
	}
	attrs := []any{"name", s.name, "cause", s.fault,
		"mend", "the name has to lead here, on port 80 or 443 from the internet, and tls.acme.directory to the authority"}
	if pause > 0 {
		attrs = append(attrs, "retry_in", pause)
	}
	m.mu.Unlock()
	m.o.Log.Warn(what, attrs...)
	m.publish() // for the fault
}

// explain returns what an operator needs of err.
func explain(err error) string {
	var p acme.Problem
	if !errors.As(err, &p) {
		if unreachable, ok := errors.AsType[*url.Error](err); ok {
			return "no answer of the authority: " + unreachable.Error()
		}
		return err.Error()
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, sub := range p.Subproblems {
		text += "; " + sub.Detail
	}
	return fmt.Sprintf("%s (%s)", strings.TrimSpace(text), p.Type[strings.LastIndexByte(p.Type, ':')+1:])
}

// bridge is a zapcore.Core that passes what certmagic logs on to a Manager.
type bridge struct {
	m      *Manager
	fields []zapcore.Field
}

// Enabled lets everything that may be a warning through, for retries.
func (b bridge) Enabled(l zapcore.Level) bool {
	return l >= zapcore.WarnLevel || b.m.o.Log.Enabled(context.Background(), slog.LevelDebug)
}

// With returns a core with more fields.
func (b bridge) With(fields []zapcore.Field) zapcore.Core {
	b.fields = slices.Concat(b.fields, fields)
	return b
}

// Check adds the core to ce if e is to be written.
func (b bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return ce.AddCore(e, b)
	}
	return ce
}

// Write passes e on: a failed attempt in lb's words, another warning as one, and the rest
// for those who debug.
func (b bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	all := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(b.fields, fields) {
		f.AddTo(all)
	}
	level := slog.LevelDebug
	if e.Level >= zapcore.WarnLevel && !slices.Contains(repeated, e.Message) {
		level = slog.LevelWarn
	}
	attrs := make([]any, 0, 2*len(all.Fields))
	for _, key := range slices.Sorted(maps.Keys(all.Fields)) {
		attrs = append(attrs, key, all.Fields[key])
	}
	b.m.o.Log.Log(context.Background(), level, "certmagic: "+e.Message, attrs...)
	if name, ok := all.Fields[siteKey].(string); ok {
		pause, _ := all.Fields["retrying_in"].(time.Duration)
		cause, _ := all.Fields["error"].(string)
		b.m.hear(name, e.Message, cause, pause)
	}
	return nil
}

// Sync has nothing to do.
func (b bridge) Sync() error { return nil }

// hear acts on a line of certmagic about name.
func (m *Manager) hear(name, message, cause string, pause time.Duration) {
	if message != saysRetry && message != saysFailed {
		return // others may come while certmagic holds a lock
	}
	m.mu.Lock()
	s := m.sites[name]
	if s != nil && message == saysFailed {
		pause = pauses[min(s.fails, len(pauses)-1)]
		s.fails++
	}
	m.mu.Unlock()
	if s != nil {
		m.failed(s, errors.New(cause), pause)
	}
}

// muteDefault has what certmagic logs without a logger of its own passed on as well,
// once for the process.
func muteDefault(log *zap.Logger) {
	muted.Do(func() { *certmagic.Default.Logger = *log })
}

var muted sync.Once
