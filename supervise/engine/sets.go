package engine

import (
	"log/slog"
	"sync"

	"lb/config"
	"lb/internal/tlsconf"
	"lb/supervise/plan"
)

// Sets makes what loops need of crypto/tls, and the tables of pools with the strategy hash,
// once for all loops of a process. Any goroutine may call its methods. The zero Sets is empty
// and ready.
type Sets struct {
	mu      sync.Mutex
	cfg     *config.Config
	secrets *tlsconf.Secrets
	set     *tlsconf.Set // of the two; or the one before, if they are of no use
	tables  tables
}

// of returns the set for s, or nil if s has no TLS. With an error, it is the set before.
func (b *Sets) of(s *plan.Snapshot) (*tlsconf.Set, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next(s.Config, s.Secrets)
}

// with returns the set for other secrets beside the configuration of the last call of of.
func (b *Sets) with(secrets *tlsconf.Secrets) (*tlsconf.Set, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next(b.cfg, secrets)
}

// after returns the set for s, which has other members than the snapshot before and is the
// same in all else.
func (b *Sets) after(s *plan.Snapshot) (*tlsconf.Set, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Secrets == b.secrets && b.set.Covers(s.Config) {
		b.cfg = s.Config
		return b.set, nil
	}
	return b.next(s.Config, s.Secrets)
}

func (b *Sets) next(cfg *config.Config, secrets *tlsconf.Secrets) (set *tlsconf.Set, err error) {
	if b.cfg == cfg && b.secrets == secrets {
		return b.set, nil
	}
	if secrets != nil {
		if set, err = b.set.Next(cfg, secrets); err != nil {
			set = b.set
		}
	}
	b.cfg, b.secrets, b.set = cfg, secrets, set
	return set, err
}

// SetSecrets gives the proxy other secrets. If they are of no use, those before stay.
func (e *Engine) SetSecrets(secrets *tlsconf.Secrets) {
	set, err := e.o.Sets.with(secrets)
	if err != nil {
		logUnfit(e.o.Log, secrets, err)
		return
	}
	e.loop.Post(func() { e.proxy.SetTLS(set) })
}

// logUnfit logs secrets that the supervisor has checked and that are of no use all the same.
func logUnfit(log *slog.Logger, secrets *tlsconf.Secrets, err error) {
	log.Error("certificates not taken up, the old ones go on", "number", secrets.Number, "cause", err, "mend", "lb status shows the certificates; put the files in order again")
}
