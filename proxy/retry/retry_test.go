package retry

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"lb/config"
	"lb/proxy/record"
)

var (
	all      = config.RetryOn{Connect: true, Stale: true, Timeout: true, Reset: true}
	slow     = record.ByBackend(record.CauseSlow)
	reset    = record.ByBackend(record.CauseReset)
	refused  = record.ByBackend(record.CauseNoConnect)
	nonsense = record.ByBackend(record.CauseBadAnswer)
	badTLS   = record.ByHandshake(io.EOF)
	out      = record.ByBackend(record.CauseOut)
	crowded  = record.ByLB(record.CauseCrowded)
)

// in returns f in a phase.
func in(ph record.Phase, f record.Fault) record.Fault {
	f.Phase = ph
	return f
}

// TestJudge: one line for each clause of the rule.
func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		on   config.RetryOn
		c    Case
		want Verdict
	}{
		"client":                {all, Case{Fault: in(record.Wait, record.ByClient(record.CauseGone)), Twice: true}, No},
		"lb":                    {all, Case{Fault: in(record.Pick, crowded), Twice: true}, No},
		"replied":               {all, Case{Fault: in(record.Wait, slow), Twice: true, Replied: true}, No},
		"too often":             {all, Case{Fault: in(record.Dial, refused), Attempts: 3}, No},
		"refused":               {all, Case{Fault: in(record.Dial, refused), Attempts: 2}, Free},
		"refused, off":          {config.RetryOn{Timeout: true, Reset: true}, Case{Fault: in(record.Dial, refused)}, No},
		"connect timeout":       {all, Case{Fault: in(record.Dial, slow)}, Free},
		"connect timeout, off":  {config.RetryOn{Timeout: true}, Case{Fault: in(record.Dial, slow)}, No},
		"full":                  {all, Case{Fault: in(record.Dial, crowded)}, Elsewhere},
		"full, off":             {config.RetryOn{Timeout: true}, Case{Fault: in(record.Dial, crowded)}, No},
		"timeout":               {all, Case{Fault: in(record.Wait, slow), Sent: true, Twice: true}, Elsewhere},
		"timeout of a POST":     {all, Case{Fault: in(record.Wait, slow), Sent: true}, No},
		"timeout, off":          {config.RetryOn{Connect: true, Reset: true}, Case{Fault: in(record.Wait, slow), Sent: true, Twice: true}, No},
		"not taken":             {all, Case{Fault: in(record.Send, slow), Sent: true, Twice: true}, Elsewhere},
		"not taken, no byte":    {all, Case{Fault: in(record.Send, slow)}, Elsewhere},
		"out":                   {config.RetryOn{Timeout: true}, Case{Fault: in(record.Wait, out), Sent: true, Twice: true}, Elsewhere},
		"out, resets only":      {config.RetryOn{Reset: true}, Case{Fault: in(record.Wait, out), Sent: true, Twice: true}, Elsewhere},
		"out, POST":             {all, Case{Fault: in(record.Wait, out), Sent: true}, No},
		"out, not sent":         {all, Case{Fault: in(record.Send, out)}, Elsewhere},
		"out, off":              {config.RetryOn{Connect: true, Stale: true}, Case{Fault: in(record.Wait, out), Sent: true, Twice: true}, No},
		"out while dialling":    {config.RetryOn{Connect: true}, Case{Fault: in(record.Dial, out)}, Free},
		"reset":                 {all, Case{Fault: in(record.Wait, reset), Sent: true, Twice: true}, Budgeted},
		"reset, off":            {config.RetryOn{Timeout: true}, Case{Fault: in(record.Wait, reset), Sent: true, Twice: true}, No},
		"stale":                 {all, Case{Fault: in(record.Wait, reset), Sent: true, Twice: true, Stale: true}, Free},
		"stale, off":            {config.RetryOn{Reset: true}, Case{Fault: in(record.Wait, reset), Sent: true, Twice: true, Stale: true}, Budgeted},
		"refused POST":          {all, Case{Fault: in(record.Wait, reset), Sent: true, Unseen: true}, Budgeted},
		"left out POST":         {all, Case{Fault: in(record.Wait, reset), Sent: true, Unseen: true, Stale: true}, Free},
		"refused, too often":    {all, Case{Fault: in(record.Wait, reset), Sent: true, Unseen: true, Attempts: 3}, No},
		"refused POST, off":     {config.RetryOn{Reset: true}, Case{Fault: in(record.Wait, reset), Sent: true, Unseen: true}, No},
		"stale POST":            {all, Case{Fault: in(record.Wait, reset), Sent: true, Stale: true}, No},
		"a status":              {config.RetryOn{}, Case{Fault: in(record.Wait, record.ByBackend(record.CauseStatus)), Sent: true, Twice: true}, Budgeted},
		"an answer of nonsense": {all, Case{Fault: in(record.Wait, nonsense), Sent: true, Twice: true}, No},
		"TLS":                   {all, Case{Fault: in(record.Dial, badTLS), Attempts: 1}, Elsewhere},
		"TLS, off":              {config.RetryOn{Timeout: true, Reset: true}, Case{Fault: in(record.Dial, badTLS)}, No},
		"late handshake":        {all, Case{Fault: in(record.Dial, record.LateHandshake())}, Elsewhere},
		"TLS after the request": {all, Case{Fault: in(record.Wait, badTLS), Sent: true, Twice: true}, Elsewhere},
		"TLS after a POST":      {all, Case{Fault: in(record.Wait, badTLS), Sent: true}, No},
		"an answer cut off":     {all, Case{Fault: in(record.Relay, slow), Sent: true, Twice: true, Replied: true}, No},
	} {
		if got := Judge(&config.Retry{Attempts: 2, On: tc.on}, tc.c); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

// TestWaits: the pauses are apart, and the steps of Knock grow up to a limit.
func TestWaits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		if d := Pause(rng); d < 12*time.Millisecond || d >= 38*time.Millisecond {
			t.Fatalf("a pause of %v", d)
		}
	}
	step := time.Millisecond
	for n := range 256 {
		if d := Knock(uint8(n), rng); d < step/2 || d >= step*3/2 {
			t.Fatalf("knock %d after %v, want about %v", n, d, step)
		}
		step = min(2*step, 64*time.Millisecond)
	}
}
