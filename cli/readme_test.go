package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"

	"lb/config"
)

// The documents, `lb serve --help`, lb.toml, the examples and the code say the same.

// reference has the tables of flags and keys.
const reference = "docs/configuration.md"

// rows returns the rows of the first table in a section of reference whose first
// cell matches first, cell by cell and without backquotes.
func rows(t *testing.T, section, first string) [][]string {
	t.Helper()
	text := document(t, reference)
	_, text, ok := strings.Cut(text, section)
	if !ok {
		t.Fatalf("%s has no %q", reference, section)
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

// inRoot returns the path of a file of the project from here.
func inRoot(name string) string { return filepath.Join("..", name) }

// document returns the text of a file of the project.
func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(inRoot(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents returns the names of README and of everything in docs/.
func documents(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(inRoot(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name, err := filepath.Rel(inRoot("."), path)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	if len(names) < 5 {
		t.Fatalf("found only %v", names)
	}
	return names
}

// example returns lb.toml as a tree.
func example(t *testing.T) map[string]any {
	t.Helper()
	var tree map[string]any
	if _, err := toml.DecodeFile(inRoot("lb.toml"), &tree); err != nil {
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
	for _, row := range rows(t, "Flags of `lb serve`:", "^-[-a-zA-Z]*, --|^--[a-z]") {
		names, key, standard := row[0], strings.Trim(row[1], "[]"), row[2]
		long := names[strings.Index(names, "--")+2:]
		f, ok := flags[long]
		if !ok {
			t.Errorf("%s has --%s, which lb serve has not", reference, long)
			continue
		}
		delete(flags, long)
		want := "--" + long
		if f.Short != 0 {
			want = fmt.Sprintf("-%c, %s", f.Short, want)
		}
		if names != want {
			t.Errorf("%s has %s, lb serve %s", reference, names, want)
		}
		if _, help, ok := strings.Cut(f.Help, "Default: "); ok && clean(help) != clean(standard) {
			t.Errorf("--%s: default %q in %s, %q in its help", long, standard, reference, help)
		}
		if key == "" {
			continue
		}
		if strings.Contains(key, ".") { // below, among those without a flag, it is checked too
			continue
		}
		top = append(top, key)
		if v, ok := tree[key]; !ok {
			t.Errorf("--%s: lb.toml has no key %s", long, key)
		} else if s := fmt.Sprint(v); standard != "none" && key != "backends" && s != standard {
			t.Errorf("--%s: default %q in %s, %q in lb.toml", long, standard, reference, s)
		}
	}
	for name := range flags {
		t.Errorf("%s has no --%s", reference, name)
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
			t.Errorf("%s: default %s in %s, %v in lb.toml", row[0], row[1], reference, v)
		}
	}
	for key := range tree["admin"].(map[string]any) {
		t.Errorf("%s has no key admin.%s", reference, key)
	}
	for key := range tree {
		if !slices.Contains(readmeTables, "["+key+"]") && !slices.Contains(top, key) {
			t.Errorf("%s has no key %s", reference, key)
		}
	}
}

// clean leaves of a default what has to be the same everywhere.
func clean(s string) string {
	return strings.NewReplacer(",", "", ".", "", " where there is one", "", " if there", "").Replace(s)
}

// readmeTables are those of lb.toml that have a table of their own in reference.
var readmeTables = []string{"[timeouts]", "[limits]", "[eject]", "[retry]", "[tls.acme]", "[tls]", "[http2]", "[access_log]", "[tracing]", "[metrics]"}

func TestReadmeTables(t *testing.T) {
	tree, plain := example(t), strings.NewReplacer(`"`, "", ",", "")
	for _, header := range readmeTables {
		name, want := strings.Trim(header, "[]"), tree
		for part := range strings.SplitSeq(name, ".") {
			want = want[part].(map[string]any)
		}
		for _, row := range rows(t, "## `"+header+"`", "^[a-z_]+$") {
			_, isTable := want[row[0]].(map[string]any)
			if row[1] == "" && (isTable || want[row[0]] == nil) || row[1] == "default" {
				delete(want, row[0]) // no default: a table of its own, or a comment in lb.toml
				continue
			}
			if v, ok := want[row[0]]; !ok || fmt.Sprint(v) != plain.Replace(row[1]) {
				t.Errorf("%s.%s: default %s in %s, %v in lb.toml", name, row[0], row[1], reference, v)
			}
			delete(want, row[0])
		}
		for key := range want {
			t.Errorf("%s has no %s.%s", reference, name, key)
		}
	}
}

// A block that begins with "```toml fragment" need not be a whole file.
func TestReadmeExamplesAreAccepted(t *testing.T) {
	many := 0
	for _, name := range documents(t) {
		for _, text := range strings.Split(document(t, name), "```toml\n")[1:] {
			text, _, _ = strings.Cut(text, "```")
			cfg, err := config.Parse(name, []byte(text))
			found := err == nil && slices.ContainsFunc(cfg.Pools, func(p config.Pool) bool { return p.Discover != "" })
			if err != nil || len(cfg.Pools[0].Backends) < 2 && !found {
				t.Errorf("an example of %s: %v; want more than one backend, or a source of some\n%s", name, err, text)
			}
			many++
		}
	}
	if many < 2 {
		t.Errorf("the documents have %d examples of lb.toml", many)
	}
}

// TestExamples checks each file of examples as `lb check` does. Certificates that they
// name are not here.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(inRoot("examples/*.toml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%v, %v; want five examples and more", files, err)
	}
	for _, file := range files {
		var out, errs bytes.Buffer
		code := run([]string{"check", "-c", file}, &out, &errs)
		if missing := regexp.MustCompile(`^lb: \S+: /etc/lb/\S+\.pem does not exist\n$`); code != 0 && !missing.MatchString(errs.String()) {
			t.Errorf("lb check -c %s: exit code %d, %s%s", file, code, out.String(), errs.String())
		}
		if !strings.HasPrefix(document(t, filepath.Join("examples", filepath.Base(file))), "# ") {
			t.Errorf("%s does not begin with a line that says what it is for", file)
		}
	}
}

// TestReferenceHasEveryKey asks config for the keys of each table, which it names
// when it refuses one that it does not know.
func TestReferenceHasEveryKey(t *testing.T) {
	for _, tc := range []struct{ section, table string }{
		{"\n## Backends\n", "[[backends]]"},
		{"\n## Pools\n", "[[pools]]"},
		{"\n### `[hash]`\n", "[hash]"},
		{"\n### Routes\n", "[[routes]]"},
		{"\n## `[health]`", "[health]"},
		{"\n## `[eject]`", "[eject]"},
		{"\n## `[retry]`", "[retry]"},
		{"\n## Listeners\n", "[[listeners]]"},
		{"\n## `[tls]`", "[tls]"},
		{"\n## `[tls.acme]`", "[tls.acme]"},
		{"\n## `[http2]`", "[http2]"},
		{"\n## `[backend_tls]`", "[backend_tls]"},
		{"\n## `[timeouts]`", "[timeouts]"},
		{"\n## `[limits]`", "[limits]"},
	} {
		_, err := config.Parse("", []byte(tc.table+"\nqzjxv_zzk = 1\n"))
		_, known, ok := strings.Cut(fmt.Sprint(err), "known here: ")
		if !ok {
			t.Errorf("%s: %v; want the keys that are known", tc.table, err)
			continue
		}
		known, _, _ = strings.Cut(known, "\n")
		var told []string
		for _, row := range rows(t, tc.section, "^[a-z_]+(, [a-z_]+)*$") {
			told = append(told, strings.Split(row[0], ", ")...)
		}
		for key := range strings.SplitSeq(known, ", ") {
			if !slices.Contains(told, key) {
				t.Errorf("%s has no %s of %s", reference, key, tc.table)
			}
		}
	}
}

func TestReadmeCommands(t *testing.T) {
	parser, err := kong.New(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	operations := document(t, "docs/operations.md")
	for _, command := range parser.Model.Leaves(true) {
		name := command.Name
		if command.Parent.Type == kong.CommandNode {
			name = command.Parent.Name + " " + name
		}
		if !regexp.MustCompile(`\blb ` + name + `\b`).MatchString(operations) {
			t.Errorf("docs/operations.md does not tell of lb %s", name)
		}
	}
}

// TestReplies looks up every reply of lb's own that a wire transcript has.
func TestReplies(t *testing.T) {
	text := document(t, "docs/http.md")
	reply := regexp.MustCompile(`(?m)^client\d*< (\d{3}) [A-Za-z ]+: (.+?)\\n`)
	quoted := regexp.MustCompile(`"[^"]+"`) // a part of the request
	many := 0
	for _, pattern := range []string{"proxy/testdata/*.wire", "proxy/*/testdata/*.wire"} {
		files, err := filepath.Glob(inRoot(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range reply.FindAllStringSubmatch(string(b), -1) {
				said := quoted.ReplaceAllString(m[2], `"..."`)
				if row := "| " + m[1] + " | " + said + " |"; !strings.Contains(text, row) {
					t.Errorf("docs/http.md has no row %q, which is in %s", row, filepath.Base(file))
				}
				many++
			}
		}
	}
	if many < 20 {
		t.Errorf("the transcripts have %d replies of lb's own", many)
	}
}

// readmeMax is how many lines a user in a hurry reads.
const readmeMax = 150

func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(document(t, "README.md"), "\n"); n > readmeMax {
		t.Errorf("README.md has %d lines, want at most %d: the rest belongs in docs", n, readmeMax)
	}
}

// TestLinks follows every relative link of the documents, to the heading too.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, name := range append(documents(t), "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md") {
		for _, m := range link.FindAllStringSubmatch(withoutCode(document(t, name)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(inRoot(target)); err != nil {
				t.Errorf("%s: a link leads to %s, which is not there", name, target)
			} else if anchor != "" && !slices.Contains(anchors(document(t, target)), anchor) {
				t.Errorf("%s: %s has no heading #%s", name, target, anchor)
			}
		}
	}
}

// withoutCode returns a document without its fenced blocks.
func withoutCode(text string) string {
	pieces := strings.Split(text, "\n```")
	var b strings.Builder
	for i := 0; i < len(pieces); i += 2 {
		b.WriteString(pieces[i])
	}
	return b.String()
}

// anchors returns the names by which GitHub links to the headings of a document.
func anchors(text string) (names []string) {
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	for _, m := range heading.FindAllStringSubmatch(withoutCode(text), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
