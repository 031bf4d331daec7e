package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lb/admin"
	"lb/admin/api"
	"lb/cli/faultview"
	"lb/config"
)

// faultsMost is how many failed or slow exchanges lb keeps of each loop.
const faultsMost = 256

// faultsCmd is `lb faults`.
type faultsCmd struct {
	target
	paper
	Follow bool `short:"f" help:"Go on: print each exchange that fails or is slow, until Ctrl-C."`
	Last   int  `short:"n" default:"256" placeholder:"N" help:"How many to print at most, the newest last. Default: 256."`
	Heads  bool `help:"Print the heads of the requests, too. Credentials in them are ***."`
	JSON   bool `help:"Print a JSON object a line."`
}

// Run prints what has failed or was slow.
func (f *faultsCmd) Run(std *streams) error {
	if f.Last < 1 || f.Last > faultsMost {
		return config.Errors{{Key: "--last", What: fmt.Sprintf("%d is out of range", f.Last), Hint: fmt.Sprintf("use 1 to %d", faultsMost)}}
	}
	out := &entries{page: f.page(std.out), json: f.JSON, heads: f.Heads}
	return f.ask(std, func(c *admin.Client) error {
		if f.Follow {
			return f.follow(c, std, out)
		}
		list, err := c.Faults(f.Last)
		for _, raw := range list {
			if err := out.print(raw); err != nil {
				return err
			}
		}
		if err == nil && out.printed == 0 && !f.JSON {
			fmt.Fprintln(std.out, "nothing has failed or was slow")
		}
		return err
	})
}

// follow prints the newest exchanges, and then each that comes, until Ctrl-C. It goes on
// when lb has ended the stream, because in an upgrade a new process takes over.
func (f *faultsCmd) follow(c *admin.Client, std *streams, out *entries) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out.seen = map[string]bool{}
	for most := f.Last; ; most = faultsMost { // what the new process still has of the old one
		err := c.FollowFaults(ctx, most, out.print)
		if !errors.Is(err, admin.ErrEnded) || ctx.Err() != nil {
			return err
		}
		if awaitLB(ctx, c) != nil {
			return err
		}
		fmt.Fprintln(std.err, "lb: the process that was asked has ended; going on with the one that answers now")
	}
}

// awaitLB waits until a process listens at the socket, for the time that an upgrade needs.
func awaitLB(ctx context.Context, c *admin.Client) (err error) {
	wait, cancel := context.WithTimeout(ctx, api.UpgradeMax)
	defer cancel()
	for wait.Err() == nil {
		if err = c.Reach(); err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-wait.Done():
		}
	}
	return err
}

// traceCmd is `lb trace`.
type traceCmd struct {
	target
	paper
	Client string        `xor:"whom" required:"" placeholder:"IP[/N]" help:"Exchanges of this client, or of a network."`
	ID     string        `xor:"whom" required:"" placeholder:"ID" help:"The exchange with this request id."`
	For    time.Duration `default:"60s" placeholder:"TIME" help:"How long, in whole seconds, 10m at most. Default: 60s."`
	JSON   bool          `help:"Print a JSON object a line."`
}

// Run prints matching exchanges as they end, then how many there were.
func (t *traceCmd) Run(std *streams) error {
	if t.For < time.Second || t.For > api.TraceMax || t.For%time.Second != 0 {
		return config.Errors{{Key: "--for", What: t.For.String() + " is not accepted", Hint: "use whole seconds, 1s to " + api.TraceMax.String()}}
	}
	out := &entries{page: t.page(std.out), json: t.JSON, heads: true}
	return t.ask(std, func(c *admin.Client) error {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		ctx, cancel := context.WithTimeout(ctx, t.For+time.Second) // lb ends it before
		defer cancel()
		begun := time.Now()
		err := c.Trace(ctx, api.TraceAsk{Client: t.Client, ID: t.ID, For: t.For}, out.print)
		if err == nil || out.printed > 0 {
			fmt.Fprintf(std.err, "lb: %s matched in %s\n", amountOf(uint64(out.printed), "exchange"), age(begun, time.Now()))
		}
		return err
	})
}

// entries prints exchanges, as JSON or for a person.
type entries struct {
	page    page
	json    bool
	heads   bool
	printed int
	seen    map[string]bool // what was printed; nil if nothing comes twice
}

// isOld reports whether raw was printed before, and takes it as printed. Two processes may
// write the same exchange in other ways.
func (e *entries) isOld(raw json.RawMessage) bool {
	if e.seen == nil {
		return false
	}
	var one api.Exchange
	if json.Unmarshal(raw, &one) != nil || one.End == "" {
		return false
	}
	same, err := json.Marshal(one)
	if err != nil || e.seen[string(same)] {
		return err == nil
	}
	if len(e.seen) >= 4*faultsMost {
		clear(e.seen)
	}
	e.seen[string(same)] = true
	return false
}

// print prints one entry, unless it was printed before.
func (e *entries) print(raw json.RawMessage) error {
	if e.isOld(raw) {
		return nil
	}
	var lost api.Lost
	isLost := json.Unmarshal(raw, &lost) == nil && lost.Lost > 0
	if !isLost {
		e.printed++
	}
	var text bytes.Buffer
	p := e.page
	p.w = &text
	switch {
	case e.json:
		if json.Compact(&text, raw) == nil {
			text.WriteByte('\n')
		}
	case isLost:
		p.line("", amountOf(lost.Lost, "exchange")+" lost: they came faster than they were read")
	default:
		one, err := faultview.Parse(raw)
		if err != nil {
			p.line("", "an entry of another version of lb: --json shows it")
			break
		}
		for _, line := range one.Lines(e.heads) {
			p.lineIn(line.Head, line.Words, map[faultview.Tint]tint{faultview.Bad: red, faultview.Slow: yellow}[line.Tint])
		}
	}
	_, err := e.page.w.Write(text.Bytes())
	return err
}
