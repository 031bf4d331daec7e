package tracing

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"lb/internal/redact"
)

// send exports batches until the queue is closed and empty. After the end of ctx it goes
// on for pace.drain at most.
func (t *Tracing) send(ctx context.Context) {
	sending, stop := context.WithCancel(context.Background())
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(t.pace.drain, stop) })
	s := sender{t: t}
	for {
		batch := t.batch(ctx)
		if len(batch) == 0 {
			break
		}
		s.export(sending, batch)
		s.report(false)
	}
	s.report(true)
	t.client.http.CloseIdleConnections()
}

// batch waits for a span, then for as many as make a batch, but not long. It is empty when
// the queue has ended.
func (t *Tracing) batch(ctx context.Context) (batch []sdk.ReadOnlySpan) {
	var full <-chan time.Time
	ended := ctx.Done()
	for len(batch) < batchMax {
		select {
		case s, ok := <-t.queue:
			if !ok {
				return batch
			}
			if batch = append(batch, s); full == nil {
				full = time.After(t.pace.batch)
			}
		case <-full:
			return batch
		case <-ended: // the queue is about to be closed
			ended, full = nil, nil
		}
	}
	return batch
}

// sender sends one batch after the other.
type sender struct {
	t       *Tracing
	failing error  // why the last batch was not taken; nil if it was
	said    bool   // the log has the reason
	told    uint64 // how many lost spans the log knows
}

// export sends a batch to the endpoint of now, and counts it as lost if that does not take
// it.
func (s *sender) export(ctx context.Context, batch []sdk.ReadOnlySpan) {
	tries := triesMax
	if s.failing != nil {
		tries = 1 // the next batch tries again soon enough
	}
	var err error
	pause := s.t.pace.pause
	for try := range tries {
		if try > 0 && !wait(ctx, pause) {
			break
		}
		endpoint := *s.t.endpoint.Load()
		if endpoint == "" {
			return // switched off: these spans are not wanted
		}
		s.t.client.to(endpoint)
		if err = s.once(ctx, batch); err == nil {
			break
		}
		var again *againError
		if !errors.As(err, &again) {
			break
		}
		pause = min(max(2*pause, again.after), s.t.pace.pauseMax)
	}
	if err != nil {
		rejected := uint64(len(batch))
		var partly *partlyError
		if errors.As(err, &partly) {
			rejected = min(partly.rejected, rejected)
		}
		s.t.lose(rejected)
	}
	s.failing = err
	if err != nil && tries == 1 {
		wait(ctx, s.t.pace.batch)
	}
}

func (s *sender) once(ctx context.Context, batch []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(ctx, s.t.pace.send)
	defer cancel()
	err := s.t.exporter.ExportSpans(ctx, batch)
	if errors.Is(err, context.DeadlineExceeded) {
		return &againError{err: fmt.Errorf("no answer within %v", s.t.pace.send)}
	}
	return err
}

// report says once that spans are lost and why, and once that they are taken again.
func (s *sender) report(last bool) {
	lost, endpoint := s.t.lost.Load(), redact.URL(*s.t.endpoint.Load())
	switch {
	case s.failing != nil && !s.said:
		s.said = true
		text := fmt.Sprintf("spans are lost: %s: %v; start the collector, or correct tracing.endpoint", endpoint, s.failing)
		s.t.trouble.Store(&text)
		s.t.o.Log.Warn("spans are lost", "endpoint", endpoint, "cause", s.failing.Error(), "lost", lost-s.told,
			"mend", "start the collector, or correct tracing.endpoint; \"\" switches traces off")
		s.told = lost
	case s.failing == nil && s.said:
		s.said = false
		s.t.trouble.Store(nil)
		s.t.o.Log.Info("spans are exported again", "endpoint", endpoint, "lost", lost-s.told)
		s.told = lost
	case s.failing == nil && lost > s.told:
		s.t.o.Log.Warn("spans are lost", "endpoint", endpoint, "cause", "more were made than could be sent", "lost", lost-s.told,
			"mend", "lower tracing.sample, or give the collector more room")
		s.told = lost
	case last && lost > s.told:
		s.t.o.Log.Warn("spans were lost until the end", "endpoint", endpoint, "lost", lost-s.told,
			"mend", "see whether the collector answers within a second")
		s.told = lost
	}
}

// wait waits for d, and reports whether ctx has not ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
