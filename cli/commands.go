package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lb/admin"
	"lb/admin/api"
	"lb/cli/load"
	"lb/config"
	"lb/config/socketpath"
)

// The commands to a running lb. When they fail their exit code is 1, whether there is
// no answer or lb refuses.

// target says which lb a command is for.
type target struct {
	Socket string `placeholder:"PATH" help:"Command socket of the lb. Default: where its configuration puts it."`
	Config string `short:"c" placeholder:"FILE" help:"Configuration of the lb, a file or a URL as that of serve, to find its socket. Default: ./lb.toml where there is one."`

	quiet bool // lb's answer will say what is wrong in the file
}

// ask runs one command against the target. Errors go to standard error.
func (to *target) ask(std *streams, command func(*admin.Client) error) error {
	c, err := to.client(std)
	if err == nil {
		err = command(c)
	}
	var status exitStatus
	if err == nil || errors.As(err, &status) {
		return err
	}
	explain(std.err, err)
	return exitStatus(exitFault)
}

// client returns a client for the first socket at which a process listens.
func (to *target) client(std *streams) (*admin.Client, error) {
	paths, err := to.socketPaths(std)
	if err != nil {
		return nil, err
	}
	var first error
	for _, path := range paths {
		c := admin.NewClient(path)
		err := c.Reach()
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
	}
	if len(paths) > 1 {
		first = fmt.Errorf("%w; nor at %s", first, strings.Join(paths[1:], " or "))
	}
	if to.Socket == "" {
		first = fmt.Errorf("%w (--socket says where else)", first)
	}
	return nil, first
}

// socketPaths returns where the socket may be, best first: the flag, or what the
// configuration says even if it has mistakes.
func (to *target) socketPaths(std *streams) ([]string, error) {
	if to.Socket != "" {
		return []string{to.Socket}, nil
	}
	elsewhere := config.Flags{Backends: []string{"127.0.0.1:1"}} // lb may have its backends from flags
	cfg, err := load.FindOf(to.Config, elsewhere)
	if err != nil {
		var mistakes config.Errors
		if !errors.As(err, &mistakes) {
			return nil, err // a missing file must not lead to some other lb
		}
		if !to.quiet {
			fmt.Fprintln(std.err, "lb: the configuration is not accepted, see lb check; looking for the socket all the same")
		}
		cfg = load.Partial(to.Config)
	}
	if cfg.Admin.Socket == config.SocketOff {
		return nil, fmt.Errorf("admin.socket is %q in %s: there are no commands; signals work (SIGHUP, SIGUSR2, SIGTERM)", config.SocketOff, cfg.Source)
	}
	return socketpath.All(cfg, os.Getenv, os.Geteuid() == 0), nil
}

// waitingFor says at a terminal, after a second, what takes so long. stop cancels it.
func waitingFor(std *streams, what string) (stop func() bool) {
	f, ok := std.err.(*os.File)
	if info, err := os.Stdin.Stat(); !ok || err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() bool { return true }
	}
	return time.AfterFunc(time.Second, func() { fmt.Fprintf(f, "lb: waiting for %s\n", what) }).Stop
}

// statusCmd is `lb status`.
type statusCmd struct {
	target
	paper
	JSON     bool `xor:"shape" help:"Print everything as JSON."`
	Problems bool `xor:"shape" help:"Print only what is not well; the exit code is 1 if anything is not."`
}

// Run prints the status of lb.
func (s *statusCmd) Run(std *streams) error {
	return s.ask(std, func(c *admin.Client) error {
		st, err := c.Status()
		if err != nil {
			return err
		}
		if s.JSON {
			return printJSON(std.out, st)
		}
		if s.Problems {
			return printProblems(s.page(std.out), st, time.Now())
		}
		printStatus(s.page(std.out), st, time.Now())
		return nil
	})
}

// reloadCmd is `lb reload`.
type reloadCmd struct {
	target
	Plan bool `help:"Only print what would change."`
}

// Run prints what changed, which may be a part of it if lb returns an error: not
// every loop answered.
func (r *reloadCmd) Run(std *streams) error {
	r.quiet = true
	return r.ask(std, func(c *admin.Client) error {
		defer waitingFor(std, "every loop to take it up")()
		done, err := c.Reload(r.Plan)
		for _, line := range done.Changes {
			fmt.Fprintln(std.out, line)
		}
		for _, line := range done.Notes {
			fmt.Fprintln(std.out, "note:", line)
		}
		if err == nil && len(done.Changes) == 0 {
			fmt.Fprintln(std.out, map[bool]string{false: "nothing changed", true: "nothing would change"}[r.Plan])
		}
		return err
	})
}

// upgradeCmd is `lb upgrade`.
type upgradeCmd struct {
	target
	Binary string `placeholder:"PATH" help:"The new binary. Default: the path that lb was started from."`
}

// Run returns when the new process serves, or is known to have failed.
func (u *upgradeCmd) Run(std *streams) error {
	return u.ask(std, func(c *admin.Client) error {
		path := u.Binary
		if path != "" {
			var err error
			if path, err = filepath.Abs(path); err != nil { // lb has another working directory
				return err
			}
		}
		defer waitingFor(std, fmt.Sprintf("the new process to serve, %v at most", api.UpgradeMax))()
		done, err := c.Upgrade(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "process %d serves, lb %s; the one before it drains\n", done.PID, done.Version)
		return nil
	})
}

// drainCmd is `lb drain`.
type drainCmd struct{ target }

// Run does not wait for the drain to end.
func (d *drainCmd) Run(std *streams) error {
	return d.ask(std, func(c *admin.Client) error {
		if err := c.Drain(); err != nil {
			return err
		}
		fmt.Fprintln(std.out, "draining; lb leaves when what runs is answered, or timeouts.drain is over")
		return nil
	})
}
