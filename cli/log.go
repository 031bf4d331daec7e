package cli

import (
	"fmt"

	"lb/admin"
)

// logCmd is `lb log-level`.
type logCmd struct {
	target
	Level string `arg:"" optional:"" help:"The level from now on, until lb reads its configuration again: debug, info, warn or error. Without it: show the level."`
}

// Run prints the level, after it has changed it.
func (l *logCmd) Run(std *streams) error {
	return l.ask(std, func(c *admin.Client) error {
		if l.Level != "" {
			if err := c.SetLogLevel(l.Level); err != nil {
				return err
			}
		}
		level, err := c.LogLevel()
		if err == nil {
			fmt.Fprintln(std.out, level)
		}
		return err
	})
}
