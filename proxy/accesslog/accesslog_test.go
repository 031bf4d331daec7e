package accesslog

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
)

var update = flag.Bool("update", false, "write the golden files again")

// TestGolden: the line of each kind of exchange, in each format.
func TestGolden(t *testing.T) {
	zone := time.Local
	time.Local = time.FixedZone("", 2*60*60)
	defer func() { time.Local = zone }()
	for name, format := range map[string]string{
		"json": "json", "combined": "combined",
		"template": `{client} {method} {target} {status} {total_ms} "{user_agent}" {attempts} {phases.first_byte} {end}/{end_phase}/{end_why}/{end_detail} {{{tls.version} {trace_id}}}`,
	} {
		f, err := Compile(format)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		all := kinds(t)
		for _, kind := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(&got, "# %s\n%s", kind, f.Append(nil, all[kind]))
		}
		golden(t, name, got.String())
	}
}

// TestEntries: the entries of the rings, for each kind of exchange.
func TestEntries(t *testing.T) {
	backends := []Backend{{"10.0.0.1:80", "ejected", 0}, {"10.0.0.2:80", "up", 7}}
	var got strings.Builder
	all := kinds(t)
	for _, kind := range []string{"502", "bad head", "http2 over TLS"} {
		s := all[kind]
		fmt.Fprintf(&got, "# %s\n%s\n%s\n", kind, AppendEntry(nil, Fault, s, backends, 4064), AppendSpan(nil, s, 4064))
	}
	golden(t, "entries", got.String())
	for _, line := range strings.Split(got.String(), "\n") {
		if !strings.HasPrefix(line, `{"kind":"fault"`) {
			continue
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(new(api.Exchange)); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

// TestPassedTrace: a line has the id of the trace that lb only passes on, unless its
// traceparent cannot be read or there are two.
func TestPassedTrace(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	const parent = "traceparent: 00-" + id + "-b7ad6b7169203331-01\r\n"
	for fields, want := range map[string]bool{parent: true, "": false, parent + parent: false, "traceparent: 00-x\r\n": false} {
		s := asked(t, "GET / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n")
		s.pick("10.0.0.1:80", 2)
		s.send(true, 3)
		s.answer(200, 9)
		for _, format := range []string{"json", "{trace_id}"} {
			f, err := Compile(format)
			if err != nil {
				t.Fatal(err)
			}
			line := string(f.Append(nil, s))
			if strings.Contains(line, id) != want {
				t.Errorf("%q, %s: %s", fields, format, line)
			}
		}
	}
}
