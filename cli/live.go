package cli

import (
	"fmt"
	"time"

	"lb/admin"
	"lb/cli/top"
	"lb/config"
)

// topCmd is `lb top`.
type topCmd struct {
	target
	Every time.Duration `default:"1s" placeholder:"TIME" help:"How often to look, 200ms at least. Default: 1s."`
	Once  bool          `help:"Print one page and end, as without a terminal."`
}

// Run shows the live view on a terminal until q is pressed. Elsewhere it prints one page.
func (t *topCmd) Run(std *streams) error {
	if t.Every < top.EveryMin {
		return config.Errors{{Key: "--every", What: fmt.Sprintf("%v is too often", t.Every), Hint: fmt.Sprintf("use %v or more", top.EveryMin)}}
	}
	return t.ask(std, func(c *admin.Client) error {
		o := top.Options{Source: c, Every: t.Every}
		if t.Once || widthOf(std.out) == 0 {
			return top.Once(o, std.out)
		}
		return top.Run(o)
	})
}
