package hpack

import (
	"bytes"
	"strings"
	"testing"
)

// wantLines is what AppendLines promises, line by line.
func wantLines(d, lines []byte, but *[IDs]bool) (out, rest []byte) {
	for {
		name, value, n := CutLine(lines)
		switch {
		case n == 0:
			return d, nil
		case but[IDOfAny(name)]:
			return d, lines
		}
		d, lines = appendAs(d, name, value, lines[len(name)+1] == '\t'), lines[n:]
	}
}

// appendAs is AppendField, or AppendNever.
func appendAs(d, name, value []byte, never bool) []byte {
	if never {
		return AppendNever(d, name, value)
	}
	return AppendField(d, name, value)
}

// sameLines has AppendLines write text, behind something and into as much room as there is.
func sameLines(t *testing.T, text []byte, room int) {
	t.Helper()
	but := [IDs]bool{Host: true, TE: true, WebSocketAccept: true}
	want, wantRest := wantLines([]byte("before"), text, &but)
	got, rest := AppendLines(append(make([]byte, 0, 6+room), "before"...), text, &but)
	if !bytes.Equal(got, want) || !bytes.Equal(rest, wantRest) {
		t.Fatalf("%q is written %q, and %q is left; want %q, and %q", text, got, rest, want, wantRest)
	}
}

// TestAppendLines writes names and values of every length, at every distance from the end.
func TestAppendLines(t *testing.T) {
	for n := range 300 {
		for _, tail := range []string{"", "\r\n", "Content-Length: 5\r\n\r\n", "TE: a\r\nx: y\r\n", "a:b\r\n"} {
			long := strings.Repeat("Vw", n)[:n]
			sameLines(t, []byte("X-"+long+":"+tail[:min(len(tail), 1)]+"\r\n"+tail), 0)
			sameLines(t, []byte("X: "+long+" \t\r\n"+tail), 2*n+100)
			sameLines(t, []byte("Accept:"+long+"\r\n"+tail), 2*n+100)
			sameLines(t, []byte("X-"+long+":\t"+long+"\r\n"+tail), n)
			sameLines(t, []byte("Accept:\t\t"+long+"\r\nAccept: \t"+long+"\r\n"+tail), 0)
		}
	}
	for _, f := range names {
		for _, name := range []string{string(f.name), strings.ToUpper(string(f.name)), string(f.name) + "s", "s" + string(f.name)} {
			if name = strings.TrimPrefix(name, ":"); name != "" {
				sameLines(t, []byte(name+": gzip, deflate\r\nB: c\r\n\r\n"), 100)
				sameLines(t, []byte(name+":\tgzip, deflate\r\nB: c\r\n\r\n"), 100)
				sameLines(t, []byte("B: c\r\n"+name+":\t\r\n"), 100)
			}
		}
	}
}

func FuzzAppendLines(f *testing.F) {
	f.Add("Host", "a", "X-Own", "b", "\r\n")
	f.Add("Cookie", strings.Repeat("c", 200), "TE", "trailers", "")
	f.Add("Accept-Encoding", "gzip, deflate", "X-Own", "b", "\t")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, end string) {
		clean := strings.NewReplacer("\r", "", "\n", "", ":", "")
		line := func(name, value string) string { return clean.Replace(name) + ": " + clean.Replace(value) + "\r\n" }
		text := line(name1, value1) + line(name2, value2) + line(name1, value2)
		if strings.HasPrefix(end, "\t") {
			text = strings.ReplaceAll(text, ": ", ":\t")
		}
		if end != "" {
			text += "\r\n"
		}
		sameLines(t, []byte(text), 0)
		AppendLines(nil, []byte(text+name1+":"+value1+"\r\n"), new([IDs]bool))
	})
}
