package logformat

import (
	"slices"
	"strings"
	"testing"
)

// TestParse: text and fields in order; braces in the text are doubled.
func TestParse(t *testing.T) {
	for _, tc := range []struct {
		format string
		want   []Part
	}{
		{"{client}", []Part{{Field: Client}, {Last: true}}},
		{"a {client} b{total_ms}", []Part{{Text: "a ", Field: Client}, {Text: " b", Field: TotalMilliseconds}, {Last: true}}},
		{"{{{status}}}\t", []Part{{Text: "{", Field: Status}, {Text: "}\t", Last: true}}},
		{"{phases.head}{tls.version}ü", []Part{{Field: PhaseHead}, {Field: TLSVersion}, {Text: "ü", Last: true}}},
	} {
		got, err := Parse(tc.format)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%q: %+v, %v", tc.format, got, err)
		}
	}
}

// TestRefused: an error says what is wrong, and what is allowed instead.
func TestRefused(t *testing.T) {
	for format, want := range map[string]string{
		"":                        `such as "{client} {method} {target} {status} {total_ms}"`,
		"apache":                  `"apache" is no name of a format`,
		"{clinet}":                "unknown field {clinet}; the fields are time, request_id, client, ",
		"{tls}":                   "unknown field {tls}",
		"{client":                 `"{" without the other brace; write "{{"`,
		"{client} }":              `"}" without the other brace; write "}}"`,
		"{client}\n{status}":      "a control character at byte 9",
		"{client}\x7f":            "a control character at byte 9",
		strings.Repeat("a", 1025): "1025 bytes; at most 1024",
	} {
		if err := Check(format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
}

// TestCheck: the names of formats, and a template with every field.
func TestCheck(t *testing.T) {
	all := "{" + strings.Join(Names(), "} {") + "}"
	for _, format := range []string{JSON, Combined, all} {
		if err := Check(format); err != nil {
			t.Errorf("%q: %v", format, err)
		}
	}
	parts, _ := Parse(all)
	for i, name := range Names() {
		if name == "" || parts[i].Field.String() != name {
			t.Errorf("field %d is %q, want %q", i, parts[i].Field, name)
		}
	}
}

// FuzzParse: what is accepted has at least one field, and its parts make the format again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"{client} {status}", "{{}}", "{", "}{client}", "{total_ms}{{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, format string) {
		parts, err := Parse(format)
		if err != nil {
			return
		}
		var b strings.Builder
		double := strings.NewReplacer("{", "{{", "}", "}}")
		for i, p := range parts {
			double.WriteString(&b, p.Text)
			if last := i == len(parts)-1; p.Last != last {
				t.Fatalf("%q: part %d of %d: %+v", format, i, len(parts), p)
			}
			if !p.Last {
				b.WriteString("{" + p.Field.String() + "}")
			}
		}
		if b.String() != format || len(parts) < 2 {
			t.Errorf("%q: %+v", format, parts)
		}
	})
}
