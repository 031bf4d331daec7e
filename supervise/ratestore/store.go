package ratestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lb/admin/api"
	"lb/internal/redact"
)

const (
	pendingMax = 1 << 16 // buckets that wait for the store; what comes beyond is dropped
	batchMax   = 1 << 13 // buckets of one round
	callMax    = 256     // buckets of one call of the script, which the store makes at once
	oldAfter   = time.Second
	looksMax   = 20              // rounds in which a bucket is looked at again after the last token, for those of others
	pingEvery  = 5 * time.Second // where there is nothing to count
	pauseLeast = 200 * time.Millisecond
	pauseMost  = 5 * time.Second
)

// timeouts are those of one command.
var timeouts = struct{ dial, command time.Duration }{time.Second, 500 * time.Millisecond}

// script takes tokens from buckets by the clock of the store, and returns how much is missing
// then from each, in microseconds. Times are in microseconds since 1970: as the numbers of
// Lua, they are exact to a quarter of one. A key lives until its bucket is full.
const script = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local every, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local missing = {}
for i, key in ipairs(KEYS) do
  local tat, tokens = tonumber(redis.call('GET', key) or '') or now, tonumber(ARGV[i + 2])
  tat = math.min(math.max(tat, now) + every * tokens, now + most)
  if tokens > 0 then
    redis.call('SET', key, string.format('%.0f', tat), 'PX', string.format('%.0f', math.ceil((tat - now) / 1000) + 1))
  end
  missing[i] = math.ceil(tat - now)
end
return missing`

// store is one store, and what waits for it.
type store struct {
	of      *Stores
	shown   string // its URL, without credentials
	refused error  // why its URL is of no use
	client  *redis.Client
	news    chan struct{}
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu      sync.Mutex
	pending map[bucket]*amount
	looked  map[bucket]int // how often to look again; of run alone
	up      bool
	since   time.Time
	fault   string // "" while up, and before the first answer
}

// bucket is one bucket in a store.
type bucket struct {
	of  *limit
	key uint64
}

// amount is how many tokens were taken, and since when.
type amount struct {
	tokens int
	since  time.Time
}

// newStore returns the store at a URL, and begins to ask it.
func newStore(of *Stores, at string) *store {
	s := &store{of: of, shown: redact.URL(at), news: make(chan struct{}, 1), pending: map[bucket]*amount{}, looked: map[bucket]int{}, since: time.Now()}
	o, err := redis.ParseURL(at)
	if err != nil {
		o, s.refused = &redis.Options{}, withoutURL(err)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = timeouts.dial, timeouts.command, timeouts.command
	o.MaxRetries, o.PoolSize, o.ContextTimeoutEnabled = -1, 2, true
	o.DisableIdentity, o.MaintNotificationsConfig = true, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	s.client = redis.NewClient(o)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.done.Go(func() { s.run(ctx) })
	return s
}

// withoutURL returns err without the URL that it is about, which may have a password.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// close ends the store. What waits for it is dropped.
func (s *store) close() {
	s.stop()
	s.done.Wait()
	s.client.Close()
}

// add notes that a token was taken from a bucket.
func (s *store) add(l *limit, key uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(bucket{l, key}, 1, time.Now())
}

func (s *store) put(b bucket, tokens int, since time.Time) {
	if a := s.pending[b]; a != nil {
		a.tokens += tokens
		if since.Before(a.since) {
			a.since = since
		}
	} else if len(s.pending) < pendingMax {
		s.pending[b] = &amount{tokens, since}
	}
}

// wake has run look at what waits.
func (s *store) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// run asks the store until ctx is done.
func (s *store) run(ctx context.Context) {
	pause, asked := pauseLeast, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.news:
		}
		round := s.take()
		if len(round) == 0 && time.Since(asked) < pingEvery {
			continue
		}
		asked = time.Now()
		err := s.ask(ctx, round)
		if s.note(err); err == nil {
			pause = pauseLeast
			continue
		}
		s.giveBack(round)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, pauseMost)
		asked = time.Time{} // ask again at once, even if nothing is counted
	}
}

// take returns what waits, or a part of it. Of a token that was taken a while ago, because the
// store was away, only what is still missing from the bucket counts.
func (s *store) take() map[bucket]*amount {
	s.mu.Lock()
	defer s.mu.Unlock()
	round := make(map[bucket]*amount, min(len(s.pending), batchMax))
	area, now := s.of.o.Board.Buckets(), s.of.o.Now()
	for b, a := range s.pending {
		if len(round) == batchMax {
			break
		}
		delete(s.pending, b)
		if time.Since(a.since) > oldAfter {
			every := b.of.every
			a.tokens = min(a.tokens, int((area.Missing(b.key, now)+every-1)/every))
		}
		if a.tokens > 0 {
			round[b] = a
			delete(s.looked, b)
		}
	}
	for b := range s.looked {
		if len(round) == batchMax {
			break
		}
		round[b] = &amount{}
	}
	return round
}

// giveBack has what the store did not take wait again.
func (s *store) giveBack(round map[bucket]*amount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b, a := range round {
		if a.tokens > 0 {
			s.put(b, a.tokens, a.since)
		}
	}
}

// ask takes the tokens of a round from the store, and empties the buckets of the board as far
// as those of the store are. Without any it asks whether the store is there.
func (s *store) ask(ctx context.Context, round map[bucket]*amount) error {
	switch {
	case s.refused != nil:
		return s.refused
	case len(round) == 0:
		return s.client.Ping(ctx).Err()
	}
	byLimit := map[*limit][]bucket{}
	for b := range round {
		byLimit[b.of] = append(byLimit[b.of], b)
	}
	pipe := s.client.Pipeline()
	var calls [][]bucket
	for l, all := range byLimit {
		for len(all) > 0 {
			n := min(len(all), callMax)
			s.call(ctx, pipe, l, all[:n], round)
			calls, all = append(calls, all[:n]), all[n:]
		}
	}
	answers, err := pipe.Exec(ctx)
	area, now := s.of.o.Board.Buckets(), s.of.o.Now()
	for i, answer := range answers {
		missing, failed := answer.(*redis.Cmd).Int64Slice()
		if failed != nil || len(missing) != len(calls[i]) {
			continue
		}
		for j, b := range calls[i] {
			area.Raise(b.key, missing[j]*int64(time.Microsecond), now)
			s.lookAgain(b, round[b].tokens > 0)
			delete(round, b) // the rest waits again
		}
	}
	return err
}

// lookAgain has the next rounds look at a bucket, after one that took tokens from it, or did
// not.
func (s *store) lookAgain(b bucket, taken bool) {
	switch {
	case taken && len(s.looked) < pendingMax:
		s.looked[b] = looksMax
	case s.looked[b] > 1:
		s.looked[b]--
	default:
		delete(s.looked, b)
	}
}

// call appends a call of the script. The name in braces keeps the buckets of a limit on one
// node of a cluster.
func (s *store) call(ctx context.Context, pipe redis.Pipeliner, l *limit, all []bucket, round map[bucket]*amount) {
	const micro = float64(time.Microsecond)
	keys, args := make([]string, len(all)), make([]any, 0, len(all)+2)
	args = append(args, float64(l.every)/micro, float64(l.most)/micro)
	for i, b := range all {
		keys[i] = fmt.Sprintf("lb:{%s}:%016x", l.name, b.key)
		args = append(args, round[b].tokens)
	}
	pipe.Eval(ctx, script, keys, args...)
}

// note notes whether the store has answered, and says so when that changes.
func (s *store) note(err error) {
	if errors.Is(err, context.Canceled) {
		return // lb ends
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, known := s.up, s.up || s.fault != ""
	if s.up, s.fault = err == nil, ""; err != nil {
		s.fault = err.Error()
	}
	if known && was == s.up {
		return
	}
	away := time.Since(s.since).Round(time.Millisecond)
	s.since = time.Now()
	switch {
	case err != nil:
		s.of.o.Log.Warn("rate limit store does not answer; this machine counts alone", "store", s.shown, "cause", err,
			"mend", "look whether the store runs and the URL of store in rate_limits is right; lb asks again by itself")
	case known:
		s.of.o.Log.Info("rate limit store answers again", "store", s.shown, "away", away)
	default:
		s.of.o.Log.Info("rate limit store answers", "store", s.shown)
	}
}

// show says in l how it stands with the store.
func (s *store) show(l *api.RateLimit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.Store, l.StoreSince, l.StoreFault, l.StoreState = s.shown, s.since, s.fault, api.StoreNew
	switch {
	case s.up:
		l.StoreState = api.StoreUp
	case s.fault != "":
		l.StoreState = api.StoreAway
	}
}
