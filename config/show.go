package config

import (
	"slices"

	"lb/config/schema"
)

// Walk calls show for every key of c with its path, as the file has it, and the text of its
// value, in the order of lb.toml: "timeouts.connect", "pools[0].backends[1].weight". Values of
// secrets are "set" or "none". only has the names of the keys and tables of the top to show;
// none: all.
func (c *Config) Walk(show func(path, text string), only ...string) {
	keys := topKeys
	if len(only) > 0 {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k schema.Key[draft]) bool { return !slices.Contains(only, k.Name) })
	}
	schema.Walk(&draft{Config: *c}, "", keys, show)
}
