package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lb/admin"
	"lb/admin/api"
	"lb/config"
)

// backendCmd is `lb backend`.
type backendCmd struct {
	List    backendListCmd    `cmd:"" help:"Show the backends of all pools, or of one."`
	Drain   backendDrainCmd   `cmd:"" help:"Send no new clients to backends; open requests and sticky clients go on."`
	Enable  backendEnableCmd  `cmd:"" help:"Undo drain and disable: use backends as the configuration says."`
	Disable backendDisableCmd `cmd:"" help:"Send no new requests to backends, not even of sticky clients; open requests go on."`
	Weight  backendWeightCmd  `cmd:"" help:"Change the weight of one backend."`
}

// backendListCmd is `lb backend list`.
type backendListCmd struct {
	target
	paper
	Pool string `arg:"" optional:"" help:"Name of a pool. Default: all."`
}

// Run prints a line for each backend.
func (b *backendListCmd) Run(std *streams) error {
	return b.ask(std, func(c *admin.Client) error {
		pools, err := c.Backends()
		if err != nil {
			return err
		}
		if b.Pool != "" {
			if pools, err = onlyPool(pools, b.Pool); err != nil {
				return err
			}
		}
		printBackends(b.page(std.out), pools, time.Now())
		return nil
	})
}

// onlyPool returns the pool with this name, as a slice of one.
func onlyPool(pools []api.Pool, name string) ([]api.Pool, error) {
	i := slices.IndexFunc(pools, func(p api.Pool) bool { return p.Name == name })
	if i >= 0 {
		return pools[i : i+1], nil
	}
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.Name
	}
	return nil, fmt.Errorf("there is no pool %q; there are: %s", name, strings.Join(names, ", "))
}

// inPool is the beginning of a command about backends of one pool.
type inPool struct {
	target
	Pool string `arg:"" help:"Name of the pool; \"default\" is the pool of the top-level backends."`
}

// set changes one backend and prints what it is then.
func (in *inPool) set(std *streams, c *admin.Client, address string, action api.Action, weight int) error {
	got, err := c.SetBackend(in.Pool, address, action, weight)
	if err == nil {
		printChanged(page{w: std.out}, got, action)
	}
	return err
}

// someBackends says which backends a command is for.
type someBackends struct {
	inPool
	Address []string `arg:"" help:"ip:port, [v6]:port or unix:/path, as lb status has it; name:port stands for all addresses of the name."`
}

type (
	backendDrainCmd   struct{ someBackends }
	backendEnableCmd  struct{ someBackends }
	backendDisableCmd struct{ someBackends }
)

// Run drains the backends.
func (b *backendDrainCmd) Run(std *streams) error { return b.setAll(std, api.Drain) }

// Run enables the backends.
func (b *backendEnableCmd) Run(std *streams) error { return b.setAll(std, api.Enable) }

// Run disables the backends.
func (b *backendDisableCmd) Run(std *streams) error { return b.setAll(std, api.Disable) }

// setAll goes on with the other backends when one is refused.
func (b *someBackends) setAll(std *streams, action api.Action) error {
	return b.ask(std, func(c *admin.Client) (result error) {
		for _, address := range b.Address {
			if err := b.set(std, c, address, action, 0); err != nil {
				explain(std.err, err)
				result = exitStatus(exitFault)
			}
		}
		return result
	})
}

// backendWeightCmd is `lb backend weight`.
type backendWeightCmd struct {
	inPool
	Address string `arg:"" help:"ip:port, [v6]:port or unix:/path, as lb status has it; name:port stands for all addresses of the name."`
	Weight  int    `arg:"" placeholder:"N" help:"1 to 65535, or 0 for the weight of the configuration."`
}

// Run changes the weight of one backend.
func (b *backendWeightCmd) Run(std *streams) error {
	if b.Weight < 0 || b.Weight > config.WeightMax {
		return config.Errors{{Key: "weight", What: fmt.Sprintf("%d is out of range", b.Weight),
			Hint: fmt.Sprintf("use 1 to %d, or 0 for the weight of the configuration", config.WeightMax)}}
	}
	return b.ask(std, func(c *admin.Client) error {
		return b.set(std, c, b.Address, api.Weight, b.Weight)
	})
}
