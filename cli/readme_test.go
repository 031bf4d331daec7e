package cli

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"

	"lb/config"
)

// The README, `lb serve --help`, lb.toml and the code say the same.

// rows returns the rows of README's tables whose first cell matches first, cell
// by cell and without backquotes.
func rows(t *testing.T, section, first string) [][]string {
	t.Helper()
	text := readme(t)
	_, text, ok := strings.Cut(text, section)
	if !ok {
		t.Fatalf("README.md has no %q", section)
	}
	var out [][]string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.ReplaceAll(strings.TrimSpace(line), "`", ""), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			if len(out) > 0 {
				return out
			}
		case regexp.MustCompile(first).MatchString(strings.TrimSpace(cells[0])):
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			out = append(out, cells)
		}
	}
	return out
}

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// example returns lb.toml as a tree.
func example(t *testing.T) map[string]any {
	t.Helper()
	var tree map[string]any
	if _, err := toml.DecodeFile("../lb.toml", &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// serveFlags returns the flags of `lb serve` as kong has them.
func serveFlags(t *testing.T) map[string]*kong.Flag {
	t.Helper()
	parser, err := kong.New(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]*kong.Flag{}
	for _, command := range parser.Model.Children {
		if command.Name == "serve" {
			for _, f := range command.Flags {
				flags[f.Name] = f
			}
		}
	}
	return flags
}

func TestReadmeFlags(t *testing.T) {
	flags, tree := serveFlags(t), example(t)
	var top []string // the keys of lb.toml that the table names
	for _, row := range rows(t, "Flags of `lb serve`", "^-[-a-zA-Z]*, --|^--[a-z]") {
		names, key, standard := row[0], strings.Trim(row[1], "[]"), row[2]
		long := names[strings.Index(names, "--")+2:]
		f, ok := flags[long]
		if !ok {
			t.Errorf("README has --%s, which lb serve has not", long)
			continue
		}
		delete(flags, long)
		want := "--" + long
		if f.Short != 0 {
			want = fmt.Sprintf("-%c, %s", f.Short, want)
		}
		if names != want {
			t.Errorf("README has %s, lb serve %s", names, want)
		}
		if _, help, ok := strings.Cut(f.Help, "Default: "); ok && clean(help) != clean(standard) {
			t.Errorf("--%s: default %q in README, %q in its help", long, standard, help)
		}
		if key == "" {
			continue
		}
		top = append(top, key)
		if v, ok := tree[key]; !ok {
			t.Errorf("--%s: lb.toml has no key %s", long, key)
		} else if s := fmt.Sprint(v); standard != "none" && key != "backends" && s != standard {
			t.Errorf("--%s: default %q in README, %q in lb.toml", long, standard, s)
		}
	}
	for name := range flags {
		t.Errorf("README does not tell of --%s", name)
	}
	for _, row := range rows(t, "Without a flag of their own", "^[a-z_.]+$") {
		key, below, _ := strings.Cut(row[0], ".")
		top = append(top, key)
		if row[0] == "key" {
			continue
		}
		v := tree[key]
		if table, ok := v.(map[string]any); ok {
			v = table[below]
			delete(table, below)
		}
		if v == nil || fmt.Sprint(v) != strings.Trim(row[1], `"`) {
			t.Errorf("%s: default %s in README, %v in lb.toml", row[0], row[1], v)
		}
	}
	for key := range tree["admin"].(map[string]any) {
		t.Errorf("README does not tell of the key admin.%s", key)
	}
	for key := range tree {
		if !slices.Contains(readmeTables, "["+key+"]") && !slices.Contains(top, key) {
			t.Errorf("README does not tell of the key %s", key)
		}
	}
}

// clean leaves of a default what has to be the same everywhere.
func clean(s string) string {
	return strings.NewReplacer(",", "", ".", "", " where there is one", "", " if there", "").Replace(s)
}

// readmeTables are those of lb.toml that have a table of their own in README.
var readmeTables = []string{"[timeouts]", "[limits]", "[eject]", "[retry]"}

func TestReadmeTables(t *testing.T) {
	tree, plain := example(t), strings.NewReplacer(`"`, "", ",", "")
	for _, header := range readmeTables {
		name := strings.Trim(header, "[]")
		want := tree[name].(map[string]any)
		for _, row := range rows(t, "## `"+header+"`", "^[a-z_]+$") {
			if row[0] == "key" {
				continue
			}
			if v, ok := want[row[0]]; !ok || fmt.Sprint(v) != plain.Replace(row[1]) {
				t.Errorf("%s.%s: default %s in README, %v in lb.toml", name, row[0], row[1], v)
			}
			delete(want, row[0])
		}
		for key := range want {
			t.Errorf("README does not tell of %s.%s", name, key)
		}
	}
}

func TestReadmeExamplesAreAccepted(t *testing.T) {
	examples := strings.Split(readme(t), "```toml\n")[1:]
	if len(examples) < 2 {
		t.Fatalf("README has %d examples of lb.toml", len(examples))
	}
	for _, text := range examples {
		text, _, _ = strings.Cut(text, "```")
		cfg, err := config.Parse("README.md", []byte(text))
		if err != nil || len(cfg.Pools[0].Backends) < 2 {
			t.Errorf("an example of README: %+v, %v; want more than one backend\n%s", cfg, err, text)
		}
	}
}

func TestReadmeCommands(t *testing.T) {
	parser, err := kong.New(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Leaves(true) {
		name := command.Name
		if command.Parent.Type == kong.CommandNode {
			name = command.Parent.Name + " " + name
		}
		if !regexp.MustCompile(`\blb ` + name + `\b`).MatchString(readme(t)) {
			t.Errorf("README does not tell of lb %s", name)
		}
	}
}
