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
	if f.Last < 0 || f.Last > faultsMost {
		return config.Errors{{Key: "--last", What: fmt.Sprintf("%d is out of range", f.Last), Hint: fmt.Sprintf("use 0 to %d", faultsMost)}}
	}
	out := &entries{page: f.page(std.out), json: f.JSON, heads: f.Heads}
	return f.ask(std, func(c *admin.Client) error {
		if f.Follow {
			return f.follow(c, std, out)
		}
		list, err := c.Faults(f.Last)
		for _, raw := range list {
			out.print(raw)
		}
		if err == nil && out.printed == 0 && !f.JSON {
			fmt.Fprintln(std.out, "nothing has failed or was slow")
		}
		return err
	})
}

// followTries is how often a stream that lb has ended is asked for again, a tenth of a
// second apart: a new process takes over in an upgrade.
const followTries = 50

// follow prints exchanges until Ctrl-C.
func (f *faultsCmd) follow(c *admin.Client, std *streams, out *entries) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for tries := 0; ; tries++ {
		before := out.printed
		err := c.FollowFaults(ctx, f.Last, out.print)
		switch {
		case out.failed != nil:
			return out.failed
		case ctx.Err() != nil:
			return nil
		case out.printed > before:
			tries = 0
		case !errors.Is(err, admin.ErrEnded) && tries == 0, tries == followTries:
			return err
		}
		f.Last = 0
		time.Sleep(100 * time.Millisecond)
	}
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
		begun := time.Now()
		err := c.Trace(ctx, api.TraceAsk{Client: t.Client, ID: t.ID, For: t.For}, out.print)
		if err == nil || out.printed > 0 {
			fmt.Fprintf(std.err, "lb: %s matched in %s\n", amountOf(uint64(out.printed), "exchange"), age(begun, time.Now()))
		}
		return errors.Join(out.failed, err)
	})
}

// entries prints exchanges, as JSON or for a person.
type entries struct {
	page    page
	json    bool
	heads   bool
	printed int
	failed  error // of the last write
}

// print prints one entry.
func (e *entries) print(raw json.RawMessage) {
	if e.json {
		var line bytes.Buffer
		if json.Compact(&line, raw) == nil {
			line.WriteByte('\n')
			_, err := e.page.w.Write(line.Bytes())
			e.note(err)
		}
		return
	}
	one, err := faultview.Parse(raw)
	if err != nil {
		return // of another version of lb
	}
	if one.Kind == faultview.Lost {
		_, err := fmt.Fprintf(e.page.w, "%s lost: they came faster than they were read\n", amountOf(one.Lost, "exchange"))
		e.failed = err
		return
	}
	for _, line := range one.Lines(e.heads) {
		e.page.lineIn(line.Head, line.Words, map[faultview.Tint]tint{faultview.Bad: red, faultview.Slow: yellow}[line.Tint])
	}
	e.note(nil)
}

func (e *entries) note(err error) {
	e.printed++
	e.failed = err
}
