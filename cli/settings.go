package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lb/admin"
	"lb/admin/api"
	"lb/cli/load"
	"lb/cli/words"
	"lb/config"
	"lb/config/show"
	"lb/supervise/remote"
)

// configCmd is `lb config`.
type configCmd struct {
	Show configShowCmd `cmd:"" help:"Show every setting in use, and where its value comes from: file and line, flag, default, or run time."`
}

// configShowCmd is `lb config show`.
type configShowCmd struct {
	target
	paper
	JSON bool     `help:"Print everything as JSON."`
	Key  []string `arg:"" optional:"" help:"Keys or tables, such as timeouts.connect, or pools[0]. Default: all."`
}

// Run prints the settings of the running lb or, if none answers and a file is named, those of
// the file.
func (s *configShowCmd) Run(std *streams) error {
	list, err := s.settings(std)
	if err == nil {
		list, err = withKeys(list, s.Key)
	}
	if err != nil {
		explain(std.err, err)
		return exitStatus(exitFault)
	}
	if s.JSON {
		return printJSON(std.out, list)
	}
	printSettings(s.page(std.out), list)
	return nil
}

func (s *configShowCmd) settings(std *streams) (list []api.Setting, err error) {
	c, err := s.client(std)
	if err == nil {
		return c.Settings()
	}
	var none *admin.NoAnswerError
	if s.Config == "" || s.Socket != "" || !errors.As(err, &none) {
		return nil, err
	}
	cfg, mistakes := load.Find(s.Config, config.Flags{})
	if mistakes != nil {
		return nil, mistakes
	}
	fmt.Fprintf(std.err, "lb: %v; this is what %s says\n", none, remote.Shown(s.Config))
	return show.Settings(cfg, show.Runtime{}), nil
}

// withKeys returns the settings of list that keys name: a key, or a table or an element of one
// with all that is below it.
func withKeys(list []api.Setting, keys []string) (out []api.Setting, err error) {
	if len(keys) == 0 {
		return list, nil
	}
	found := map[string]bool{}
	for _, s := range list {
		for _, key := range keys {
			rest, ok := strings.CutPrefix(s.Key, key)
			if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				found[key] = true
				if !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
		}
	}
	for _, key := range keys {
		if !found[key] {
			return nil, fmt.Errorf("there is no setting %q; lb config show has all", key)
		}
	}
	return out, nil
}

// printSettings writes a table of settings.
func printSettings(p page, list []api.Setting) {
	rows := [][]cell{cells("SETTING", "VALUE", "FROM")}
	for _, s := range list {
		row := cells(s.Key, words.Clean(s.Value), sourceOf(s))
		switch s.Source {
		case api.FromRuntime:
			row[2].tint = yellow
		case api.FromFile, api.FromFlag:
			row[2].tint = green
		}
		rows = append(rows, row)
	}
	p.table(rows, 1, 0)
}

// sourceOf says where the value of a setting comes from, and what it overrules.
func sourceOf(s api.Setting) string {
	place := ""
	if s.File != "" {
		place = fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	from := s.Source
	switch s.Source {
	case api.FromFile:
		return place
	case api.FromFlag:
		from = s.Flag
	case api.FromRuntime:
		if s.Flag != "" {
			from += ", over " + s.Flag
		}
	}
	if place != "" {
		from += ", over " + place
	}
	return from
}
