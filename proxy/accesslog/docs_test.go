package accesslog

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lb/config/logging"
	"lb/proxy/record"
)

// TestDocs: docs/logs.md explains every field that a line can have, in tables whose first columns name
// nothing else, and its example is what lb writes.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	all := kinds(t)
	if line := string(formats(t)["json"].Append(nil, all["documented"])); !strings.Contains(text, "```json\n"+line+"```\n") {
		t.Errorf("the example is not %s", line)
	}
	fields := map[string]bool{}
	for _, s := range all {
		var line map[string]any
		if err := json.Unmarshal(formats(t)["json"].Append(nil, s), &line); err != nil {
			t.Fatal(err)
		}
		for name, value := range line {
			fields[name] = true
			if name == "phases" {
				for part := range value.(map[string]any) {
					fields[part] = true
				}
			}
		}
	}
	told := map[string]bool{}
	_, tables, _ := strings.Cut(text, "## A line")
	tables, ends, _ := strings.Cut(tables, "### Ends")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(tables, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			told[name[1]] = true
		}
	}
	for name := range fields {
		if !told[name] {
			t.Errorf("%s is not explained", name)
		}
	}
	for name := range told {
		if !fields[name] {
			t.Errorf("%s is explained, and no line has it", name)
		}
	}
	for c := 1; c < record.Causes; c++ {
		if name := record.Cause(c).String(); !strings.Contains(ends, "`"+name+"`") {
			t.Errorf("the cause %s is not explained", name)
		}
	}
	for _, name := range logging.Fields {
		if !strings.Contains(ends, "`"+name+"`") {
			t.Errorf("the field {%s} is not named", name)
		}
	}
}

// TestNames: templates have exactly the fields that the configuration accepts.
func TestNames(t *testing.T) {
	want := slices.Sorted(slices.Values(logging.Fields))
	if got := slices.Sorted(slices.Values(fieldNames[:])); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
