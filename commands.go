package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lb/admin"
	"lb/admin/api"
	"lb/config"
)

// The commands to an lb that runs. What it refuses, and that there is none, is
// exit code 1, whatever the reason.

// running says which lb a command is for.
type running struct {
	Socket string `placeholder:"PATH" help:"Its socket. Default: where the configuration says it is."`
	Config string `short:"c" placeholder:"FILE" help:"Its configuration file, to find the socket. Default: ./lb.toml where there is one."`

	reads bool // the command itself says what is wrong in the file
}

// client returns a client for the lb in question, which was there a moment ago.
func (r *running) client(std *streams) (*admin.Client, error) {
	paths := []string{r.Socket}
	if r.Socket == "" {
		cfg, err := config.Find(r.Config)
		var broken config.Errors
		switch {
		case err == nil:
		case !errors.As(err, &broken):
			return nil, err // a file that is not there must not lead to the lb of another
		default:
			if !r.reads {
				fmt.Fprintln(std.err, "lb: the configuration is not accepted, see lb check; looking for the socket all the same")
			}
			cfg = config.LoadPartial(r.Config)
		}
		if cfg.Admin.Socket == config.SocketOff {
			return nil, fmt.Errorf("admin.socket is %q in %s: there are no commands; signals work (SIGHUP, SIGUSR2, SIGTERM)", config.SocketOff, cfg.Source)
		}
		paths = config.SocketPaths(cfg, os.Getenv, os.Geteuid() == 0)
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
	if r.Socket == "" {
		first = fmt.Errorf("%w (--socket says where else)", first)
	}
	return nil, first
}

// call runs one command; what is refused ends up on standard error.
func (r *running) call(exitCode *int, std *streams, command func(*admin.Client) error) error {
	c, err := r.client(std)
	if err == nil {
		err = command(c)
	}
	if err != nil {
		explain(std.err, err)
		*exitCode = exitFault
	}
	return nil
}

// waitingFor tells somebody at a terminal after a second what takes so long. stop
// ends that.
func waitingFor(std *streams, what string) (stop func() bool) {
	f, ok := std.err.(*os.File)
	if info, err := os.Stdin.Stat(); !ok || err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() bool { return true }
	}
	return time.AfterFunc(time.Second, func() { fmt.Fprintf(f, "lb: waiting for %s\n", what) }).Stop
}

// statusCmd is `lb status`.
type statusCmd struct {
	running
	JSON bool `help:"Print everything as JSON."`
}

// Run prints what lb says of itself.
func (s *statusCmd) Run(exitCode *int, std *streams) error {
	return s.call(exitCode, std, func(c *admin.Client) error {
		st, err := c.Status()
		if err != nil {
			return err
		}
		if s.JSON {
			e := json.NewEncoder(std.out)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			return e.Encode(st)
		}
		printStatus(std.out, st, time.Now())
		return nil
	})
}

// reloadCmd is `lb reload`.
type reloadCmd struct {
	running
	Plan bool `help:"Only print what would change."`
}

// Run prints what changed. A part of it may have changed even if not all loops
// answered.
func (r *reloadCmd) Run(exitCode *int, std *streams) error {
	r.reads = true
	return r.call(exitCode, std, func(c *admin.Client) error {
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
	running
	Binary string `placeholder:"PATH" help:"The new binary. Default: the path that lb was started from."`
}

// Run returns when the new process serves, or when it is known that it will not.
func (u *upgradeCmd) Run(exitCode *int, std *streams) error {
	return u.call(exitCode, std, func(c *admin.Client) error {
		path := u.Binary
		if path != "" {
			var err error
			if path, err = filepath.Abs(path); err != nil { // lb was started elsewhere
				return err
			}
		}
		defer waitingFor(std, "the new process to serve, 10s at most")()
		done, err := c.Upgrade(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "process %d serves, lb %s; the one before it drains\n", done.PID, done.Version)
		return nil
	})
}

// drainCmd is `lb drain`.
type drainCmd struct{ running }

// Run does not wait for the end.
func (d *drainCmd) Run(exitCode *int, std *streams) error {
	return d.call(exitCode, std, func(c *admin.Client) error {
		if err := c.Drain(); err != nil {
			return err
		}
		fmt.Fprintln(std.out, "draining; lb leaves when what runs is answered, or timeouts.drain is over")
		return nil
	})
}

// backendCmd is `lb backend`.
type backendCmd struct {
	List    backendListCmd    `cmd:"" help:"Show the backends of all pools, or of one."`
	Drain   backendDrainCmd   `cmd:"" help:"Nothing new for them; what runs, and what is sticky, goes on."`
	Enable  backendEnableCmd  `cmd:"" help:"As the configuration has them."`
	Disable backendDisableCmd `cmd:"" help:"Nothing new for them, not even what is sticky; what runs goes on."`
	Weight  backendWeightCmd  `cmd:"" help:"Another weight for one."`
}

// backendListCmd is `lb backend list`.
type backendListCmd struct {
	running
	Pool string `arg:"" optional:"" help:"Name of a pool. Default: all."`
}

// Run prints a line for each backend.
func (b *backendListCmd) Run(exitCode *int, std *streams) error {
	return b.call(exitCode, std, func(c *admin.Client) error {
		pools, err := c.Backends()
		if err != nil {
			return err
		}
		if b.Pool != "" {
			all := pools
			if pools = poolsNamed(all, b.Pool); len(pools) == 0 {
				return fmt.Errorf("there is no pool %q; there are: %s", b.Pool, strings.Join(poolNames(all), ", "))
			}
		}
		printBackends(std.out, pools, time.Now())
		return nil
	})
}

func poolsNamed(pools []api.Pool, name string) (out []api.Pool) {
	for _, p := range pools {
		if p.Name == name {
			out = append(out, p)
		}
	}
	return out
}

func poolNames(pools []api.Pool) (names []string) {
	for _, p := range pools {
		names = append(names, p.Name)
	}
	return names
}

// someBackends says which ones a command is for.
type someBackends struct {
	running
	Pool    string   `arg:"" help:"Name of the pool; \"default\" is that of the top-level backends."`
	Address []string `arg:"" help:"host:port, [v6]:port or unix:/path, as in the configuration."`
}

type (
	backendDrainCmd   struct{ someBackends }
	backendEnableCmd  struct{ someBackends }
	backendDisableCmd struct{ someBackends }
)

// Run drains.
func (b *backendDrainCmd) Run(exitCode *int, std *streams) error {
	return b.set(exitCode, std, api.Drain)
}

// Run enables.
func (b *backendEnableCmd) Run(exitCode *int, std *streams) error {
	return b.set(exitCode, std, api.Enable)
}

// Run disables.
func (b *backendDisableCmd) Run(exitCode *int, std *streams) error {
	return b.set(exitCode, std, api.Disable)
}

// set goes on with the other backends when one is refused.
func (b *someBackends) set(exitCode *int, std *streams, action api.Action) error {
	return b.call(exitCode, std, func(c *admin.Client) error {
		for _, address := range b.Address {
			if got, err := c.SetBackend(b.Pool, address, action, 0); err != nil {
				explain(std.err, err)
				*exitCode = exitFault
			} else {
				printChanged(std.out, got, action)
			}
		}
		return nil
	})
}

// backendWeightCmd is `lb backend weight`.
type backendWeightCmd struct {
	running
	Pool    string `arg:"" help:"Name of the pool; \"default\" is that of the top-level backends."`
	Address string `arg:"" help:"host:port, [v6]:port or unix:/path, as in the configuration."`
	Weight  int    `arg:"" placeholder:"N" help:"1 to 65535, or 0 for the weight of the configuration."`
}

const weightMax = 65535

// Run changes the weight of one backend.
func (b *backendWeightCmd) Run(exitCode *int, std *streams) error {
	if b.Weight < 0 || b.Weight > weightMax {
		return config.Errors{{Key: "weight", What: fmt.Sprintf("%d is out of range", b.Weight),
			Hint: fmt.Sprintf("use 1 to %d, or 0 for the weight of the configuration", weightMax)}}
	}
	return b.call(exitCode, std, func(c *admin.Client) error {
		got, err := c.SetBackend(b.Pool, b.Address, api.Weight, b.Weight)
		if err == nil {
			printChanged(std.out, got, api.Weight)
		}
		return err
	})
}
