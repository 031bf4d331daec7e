package ratestore

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lb/admin/api"
	"lb/board/buckets"
	"lb/config"
	"lb/config/access"
	"lb/internal/testkit"
)

// machine is a board with its stores, as one lb has them.
type machine struct {
	*Stores
	area *buckets.Area
	log  lockedBuffer
}

func (m *machine) Buckets() *buckets.Area { return m.area }
func (m *machine) Loops() int             { return 1 }

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

var began = time.Now()

func now() int64 { return int64(time.Hour + time.Since(began)) }

// newMachine returns a machine that follows limits with a store.
func newMachine(t *testing.T, limits ...access.RateLimit) *machine {
	return newMachineOf(t, buckets.Shape{Loops: 1, Shrink: 2}, limits...)
}

func newMachineOf(t *testing.T, shape buckets.Shape, limits ...access.RateLimit) *machine {
	m := &machine{area: buckets.Of(make([]uint64, shape.Words()), shape, [2]uint64{1, 3})}
	m.Stores = New(Options{Board: m, Now: now, Log: slog.New(slog.NewTextHandler(&m.log, nil))})
	t.Cleanup(m.Close)
	m.Follow(&config.Config{RateLimits: limits})
	return m
}

func limitOf(url string, count int, per time.Duration, burst int) access.RateLimit {
	return access.RateLimit{Name: "api", Key: access.KeyClientIP, Rate: access.Rate{Count: count, Per: per}, Burst: burst, Store: url}
}

// take takes a token as a loop does.
func (m *machine) take(l *access.RateLimit, key uint64) bool {
	every, most := l.Fill()
	if !m.area.Take(key, &buckets.Rate{Every: every, Burst: int64(l.Burst), Most: most}, now()).OK {
		return false
	}
	m.area.Notes(0).Put(key, m.area.Limit(l.Name))
	return true
}

// state returns what is shown of the only limit.
func (m *machine) state(l access.RateLimit) api.RateLimit {
	return m.Limits(&config.Config{RateLimits: []access.RateLimit{l}})[0]
}

// TestTwoMachines: what one machine gives is missing on the other, and a bucket that neither
// asks is full again after a while.
func TestTwoMachines(t *testing.T) {
	redis := testkit.NewRedis(t, "pass:word")
	l := limitOf("redis://:pass%3Aword@"+redis.Addr+"/0", 10, time.Hour, 10)
	one, two := newMachine(t, l), newMachine(t, l)
	for range 6 {
		if !one.take(&l, 7) {
			t.Fatal("a full bucket gives nothing")
		}
	}
	every, _ := l.Fill()
	two.take(&l, 7)
	testkit.Until(t, "the second to hear of the first", func() bool {
		return two.area.Missing(7, now()) > 6*every && one.area.Missing(7, now()) > 5*every
	})
	given := 0
	for two.take(&l, 7) {
		given++
	}
	if given != 3 || two.area.Missing(8, now()) != 0 {
		t.Errorf("%d more are given, want 3", given)
	}
	for range 2 {
		one.take(&l, 7)
	}
	testkit.Until(t, "the first to hear of the second", func() bool { return one.area.Missing(7, now()) > 10*every })
	if one.take(&l, 7) || two.take(&l, 7) {
		t.Error("an empty bucket gives more")
	}
	if s := one.state(l); s.StoreState != api.StoreUp || s.Store != "redis://***@"+redis.Addr+"/0" || s.StoreFault != "" {
		t.Errorf("%+v", s)
	}
	if log := one.log.String(); strings.Contains(log, "word") || !strings.Contains(log, "rate limit store answers") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestSum: two machines that give all they can give as much as the limit, in all.
func TestSum(t *testing.T) {
	redis := testkit.NewRedis(t, "")
	const rate, burst = 200, 50
	l := limitOf("redis://"+redis.Addr+"/1", rate, time.Second, burst)
	var given, late atomic.Int64 // late: how long the machine has kept us waiting, in all
	var all sync.WaitGroup
	begin := time.Now()
	const lasts = 3 * time.Second
	for range 2 {
		m := newMachine(t, l)
		all.Go(func() {
			tick := time.NewTicker(500 * time.Microsecond)
			defer tick.Stop()
			for last := begin; time.Since(begin) < lasts; last = time.Now() {
				<-tick.C
				if d := time.Since(last); d > 20*time.Millisecond {
					late.Add(int64(d))
				}
				if m.take(&l, 3) {
					given.Add(1)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(begin).Seconds()
	// Each machine has a burst before it hears of the other, and each round brings what both
	// give in it; what is too much then is missing later.
	want, slack := rate*took+burst, rate*time.Duration(late.Load()).Seconds()
	t.Logf("%d tokens in %.2fs, want %.0f, give or take %.0f", given.Load(), took, want, slack)
	if got := float64(given.Load()); got < 0.85*want-slack || got > want+burst+rate/2+slack {
		t.Errorf("%v tokens in %v s, want %v, give or take %v", got, took, want, slack)
	}
}

// TestAway: without the store a machine counts alone and says so once; when the store is
// there again, without what it had, it hears what is missing.
func TestAway(t *testing.T) {
	redis := testkit.NewRedis(t, "")
	l := limitOf("redis://"+redis.Addr, 10, time.Hour, 10)
	m := newMachine(t, l)
	m.take(&l, 7)
	testkit.Until(t, "the store to be up", func() bool { return m.state(l).StoreState == api.StoreUp })
	redis.Kill(t)
	m.take(&l, 7)
	testkit.Until(t, "the store to be away", func() bool { return m.state(l).StoreState == api.StoreAway })
	n := 2
	for m.take(&l, 7) {
		n++
	}
	if n != 10 || m.state(l).StoreFault == "" {
		t.Errorf("%d tokens of 10, and %+v", n, m.state(l))
	}
	redis.Start(t)
	testkit.Until(t, "the store to be up again", func() bool { return m.state(l).StoreState == api.StoreUp })
	other := newMachine(t, l)
	other.take(&l, 7)
	every, _ := l.Fill()
	testkit.Until(t, "another machine to hear of it", func() bool { return other.area.Missing(7, now()) > 8*every })
	log := m.log.String()
	if n := strings.Count(log, "level=WARN"); n == 0 || n != strings.Count(log, "answers again") || !strings.Contains(log, "mend=") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestNever: a store that is away from the beginning, or whose URL is of no use, is said to
// be, without its password.
func TestNever(t *testing.T) {
	for _, url := range []string{"redis://:secret@" + testkit.RefusingAddr(t), "redis://u:secret@127.0.0.1/nonsense", "rediss://:secret@" + testkit.RefusingAddr(t) + "?x=y"} {
		l := limitOf(url, 10, time.Hour, 10)
		m := newMachine(t, l)
		m.take(&l, 7)
		testkit.Until(t, "it to be said", func() bool { return strings.Contains(m.log.String(), "level=WARN") })
		s := m.state(l)
		if s.StoreState != api.StoreAway || s.StoreFault == "" || strings.Contains(s.StoreFault+s.Store+m.log.String(), "secret") {
			t.Errorf("%+v\n%s", s, m.log.String())
		}
		if !m.take(&l, 7) {
			t.Error("it counts no longer")
		}
	}
}

// TestWrongPassword: what the store answers is the cause.
func TestWrongPassword(t *testing.T) {
	redis := testkit.NewRedis(t, "right")
	l := limitOf("redis://:wrong@"+redis.Addr, 10, time.Hour, 10)
	m := newMachine(t, l)
	m.take(&l, 7)
	testkit.Until(t, "the store to be away", func() bool { return m.state(l).StoreState == api.StoreAway })
	if f := m.state(l).StoreFault; !strings.Contains(f, "WRONGPASS") || strings.Contains(f, "wrong@") {
		t.Errorf("the cause is %q", f)
	}
}

// TestMany: more buckets than go into one round all reach the store; what a limit that is
// followed no longer has taken does not.
func TestMany(t *testing.T) {
	server := testkit.NewRedis(t, "")
	l := limitOf("redis://"+server.Addr, 10, time.Hour, 10)
	// The whole table: what a bucket that gave way had taken does not reach a store that is late.
	m := newMachineOf(t, buckets.Shape{Loops: 1}, l)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	const keys = 3 * batchMax
	for key := uint64(1); key <= keys; {
		if m.area.Notes(0).Lost() > 0 {
			t.Fatal("notes are lost")
		}
		for range 200 { // less than there is room for, until they are read
			m.take(&l, key)
			key++
		}
		m.gather()
	}
	testkit.Until(t, "all buckets to be in the store", func() bool {
		return client.DBSize(t.Context()).Val() >= keys
	})
	if ttl := client.PTTL(t.Context(), "lb:{api}:0000000000000001").Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("a key lives for %v", ttl)
	}
	m.Follow(&config.Config{})
	m.take(&l, 1<<40)
	m.Follow(&config.Config{RateLimits: []access.RateLimit{l}})
	m.take(&l, 1<<41)
	testkit.Until(t, "it to be followed again", func() bool {
		return client.Exists(t.Context(), "lb:{api}:0000020000000000").Val() == 1
	})
}
