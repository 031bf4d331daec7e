package accesslog

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lb/config"
	"lb/config/logging"
	"lb/httpparse"
	"lb/proxy/front"
	"lb/proxy/record"
)

// formats are one format of each kind; the template has every field.
func formats(t testing.TB) map[string]*Format {
	all := map[string]*Format{}
	for _, name := range []string{"json", "combined", "{" + strings.Join(logging.Fields, "} ü {") + "}"} {
		f, err := Compile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.SplitN(name, "}", 2)[0]] = f
	}
	return all
}

// longest returns an exchange whose values are all as long as they can be. Each byte of what is text is
// text, or a repetition of it.
func longest(t testing.TB, text string, attempts int) *Subject {
	long := strings.Repeat(text, 8<<10/len(text))
	s := asked(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	// As the parser's spans, but with bytes that it would refuse.
	head := []byte(long[:64] + " " + long + " HTTP/1.1\r\n" + long + "\r\n\r\n")
	s.Head = head
	s.Request.MethodName.Off, s.Request.MethodName.Len = 0, 64
	s.Request.Target.Off, s.Request.Target.Len = 65, uint32(len(long))
	s.Request.Authority = s.Request.Target
	s.Request.Fields = append(s.Request.Fields[:0], httpparse.Field{})
	f := &s.Request.Fields[0]
	f.Name.Off, f.Name.Len = uint32(len(head)), uint32(len("tracestate"))
	f.Value.Off, f.Value.Len = f.Name.Off+f.Name.Len, uint32(512/len(text)*len(text))
	s.Head = append(head, "tracestate"+long[:f.Value.Len]...)
	s.ID, s.Client = []byte(long), []byte(long)
	s.Peer.Set(netip.MustParseAddrPort("[1111:2222:3333:4444:5555:6666:7777:8888]:9"), front.TLS)
	s.Peer.TLS = front.Session{Version: 1, Protocol: long, Resumed: false}
	s.Peer.Proxy = &front.Proxied{Sender: netip.MustParseAddr("1111:2222:3333:4444:5555:6666:7777:8888"),
		Facts: "\x00\xff" + long[:255] + "\x02\xff" + long[:255] + "\x05\xff" + long[:255]}
	never := time.Duration(math.MaxInt64)
	for range attempts {
		s.Pick(&record.Place{Pool: long, Backend: long}, [8]byte{}, 1)
		s.Tries[min(s.Attempts, record.TriesMax)-1] = record.Attempt{Backend: long, Status: 599, Took: never,
			Fault: record.Fault{Side: record.BackendSide, Cause: record.CauseNoConnect, Phase: record.Admit}}
	}
	s.Pool, s.Backend = long, long
	s.Route = &config.Route{Host: long, Path: long}
	s.Begun, s.Admitted, s.Picked, s.Sending, s.Sent, s.Answered = math.MinInt64/2, math.MaxInt64/2, math.MinInt64/2, math.MaxInt64/2, math.MinInt64/2, math.MaxInt64/2
	s.Ended = math.MinInt64 / 2
	s.Stalled, s.Bytes, s.BytesIn, s.Status = never, math.MinInt64, math.MinInt64, 599
	s.Fault = record.Fault{Side: record.BackendSide, Cause: record.CauseTLS, Phase: record.Admit, Detail: 7}
	s.Trace.ID[0], s.Trace.Given = 1, true
	return s
}

// TestLongest: whatever its values are, a line is one line, shorter than LineMax, and what is JSON stays
// JSON. The same goes for entries and their limit.
func TestLongest(t *testing.T) {
	backends := make([]Backend, 100)
	for i := range backends {
		backends[i] = Backend{strings.Repeat("\x01", 4096), "ejected", math.MaxUint64}
	}
	for _, text := range []string{"a", "\"", "\x01", "\xff", "é", "\n", "&token=b", "\u2028"} {
		for attempts := range record.TriesMax + 2 {
			s := longest(t, text, attempts)
			for name, f := range formats(t) {
				line := f.Append(nil, s)
				if len(line) >= LineMax || bytes.IndexByte(line, '\n') != len(line)-1 || !utf8.Valid(line) {
					t.Errorf("%s of %q, %d attempts: %d bytes: %q", name, text, attempts, len(line), line)
				}
				if name == "json" && !json.Valid(line) {
					t.Errorf("%q, %d attempts: no JSON: %s", text, attempts, line)
				}
			}
			for _, max := range []int{4000, 4064} {
				entries := [][]byte{AppendEntry([]byte("x"), Fault, s, backends, max)[1:]}
				if max == 4064 {
					entries = append(entries, AppendSpan([]byte("x"), s, max)[1:])
				}
				for _, entry := range entries {
					if len(entry) > max || !json.Valid(entry) {
						t.Errorf("%q, %d attempts: %d bytes, want %d of JSON: %s", text, attempts, len(entry), max, entry)
					}
				}
			}
		}
	}
}

// TestCut: a value that is too long shows its beginning, and that it is not whole.
func TestCut(t *testing.T) {
	target := "/" + strings.Repeat("a", 8000)
	s := asked(t, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n").reply(record.Fault{}, 404, 1)
	var line struct{ Target string }
	if err := json.Unmarshal(formats(t)["json"].Append(nil, s), &line); err != nil {
		t.Fatal(err)
	}
	shown, ok := strings.CutSuffix(line.Target, cut)
	if !ok || !strings.HasPrefix(target, shown) || len(shown) < 2000 {
		t.Errorf("%d bytes: %q", len(shown), line.Target)
	}
}

// FuzzLine: every format makes one line of any bytes, that of JSON decodes to the same values with bytes
// that are no UTF-8 replaced, and no value of a secret is in it.
func FuzzLine(f *testing.F) {
	f.Add("/a?b=c", "a.example", "curl/8.5.0", "https://b.example/?q=1", "0193a5e2")
	f.Add("/\"\\\x7f\xff\xc3", "\xe2\x80", "\"><\x00", "\\x", "\n\r\t")
	f.Add("/"+strings.Repeat("\x01", 900), "a", "", "", "") // which is cut
	f.Add("/é?token="+secret, "é", "\u2028", "http://u:"+secret+"@h/", "\xf0\x9f\x98\x80")
	all := formats(f)
	f.Fuzz(func(t *testing.T, target, host, agent, referer, id string) {
		if len(target)+len(agent)+len(referer) > 1500 || len(host) > 40 || len(id) > 20 || strings.Contains(target+host+agent+referer+id, "S3") {
			return
		}
		target += "&API_key=" + secret
		s := asked(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		s.Head = s.Head[:0]
		s.Request.Target.Off, s.Request.Target.Len = put(&s.Head, target)
		s.Request.Authority.Off, s.Request.Authority.Len = put(&s.Head, host)
		s.Request.MethodName.Off, s.Request.MethodName.Len = put(&s.Head, "GET")
		s.Request.Fields = s.Request.Fields[:0]
		for name, value := range map[string]string{"user-agent": agent, "Referer": "https://u:" + secret + "@h/" + referer} {
			field := s.Request.Fields[:len(s.Request.Fields)+1][len(s.Request.Fields)]
			field.Name.Off, field.Name.Len = put(&s.Head, name)
			field.Value.Off, field.Value.Len = put(&s.Head, value)
			s.Request.Fields = append(s.Request.Fields, field)
		}
		s.ID = []byte(id)
		s.reply(record.ByClient(record.CauseNoRoute), 404, 1)
		for name, format := range all {
			line := format.Append(nil, s)
			if len(line) >= LineMax || bytes.IndexByte(line, '\n') != len(line)-1 || bytes.Contains(line, []byte(secret)) || !utf8.Valid(line) {
				t.Errorf("%s: %q", name, line)
			}
		}
		var got struct {
			Target, Host string
			ID           string `json:"request_id"`
		}
		if err := json.Unmarshal(all["json"].Append(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if got.Host != valid(host) || got.ID != valid(id) {
			t.Errorf("%+v of %q, %q", got, host, id)
		}
		shown, whole := strings.CutSuffix(got.Target, "***")
		if !whole { // too long after it is escaped
			var short bool
			if shown, short = strings.CutSuffix(got.Target, cut); !short || len(escaped(shown)) < 2000 {
				t.Errorf("%q of %q", got.Target, target)
			}
		}
		plain := valid(strings.TrimSuffix(target, secret))
		if !strings.Contains(shown, "***") && (!strings.HasPrefix(plain, shown) || whole && shown != plain) {
			t.Errorf("%q of %q", got.Target, target)
		}
	})
}

const secret = "S3cr3tV4lu3"

// put appends text to head and returns where it is.
func put(head *[]byte, text string) (off, n uint32) {
	*head = append(*head, text...)
	return uint32(len(*head) - len(text)), uint32(len(text))
}

// valid returns s as encoding/json reads it.
func valid(s string) string {
	b, _ := json.Marshal(s)
	json.Unmarshal(b, &s)
	return s
}

// escaped returns s as encoding/json writes it.
func escaped(s string) []byte {
	b, _ := json.Marshal(strings.ReplaceAll(s, "\ufffd", "\xff")) // which is written as \ufffd
	return b
}

// FuzzEntry: an entry is JSON whatever the head is, and the head in it is the beginning of what came.
func FuzzEntry(f *testing.F) {
	f.Add("GET /a HTTP/1.1\r\nHost: b\r\n\r\n", "10.0.0.1:80")
	f.Add("\xff\n\"\\", "\x00")
	f.Fuzz(func(t *testing.T, head, name string) {
		s := asked(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").reply(record.Fault{}, 503, 1)
		if head != "" {
			s.Head = append([]byte(head), s.Head...)
		}
		entry := AppendEntry(nil, Trace, s, []Backend{{name, "up", 1}}, 4064)
		var got struct {
			Kind, Head string
			Backends   []struct{ Backend string }
		}
		if err := json.Unmarshal(entry, &got); err != nil || len(entry) > 4064 || got.Kind != "trace" || len(got.Backends) != 1 {
			t.Fatalf("%v: %s", err, entry)
		}
		shown := strings.TrimSuffix(got.Head, cut)
		if !strings.Contains(shown, "***") && !strings.HasPrefix(valid(string(s.Head)), shown) {
			t.Errorf("%q of %q", got.Head, s.Head)
		}
	})
}

// TestNoAlloc: no format allocates for a line, however the exchange ended.
func TestNoAlloc(t *testing.T) {
	all, subjects := formats(t), kinds(t)
	dst := make([]byte, 0, 64<<10)
	for name, s := range subjects {
		for format, f := range all {
			if n := testing.AllocsPerRun(100, func() { f.Append(dst, s) }); n != 0 {
				t.Errorf("%s as %s: %v allocations", name, format, n)
			}
		}
		backends := []Backend{{"10.0.0.1:80", "up", 1}}
		if n := testing.AllocsPerRun(100, func() { AppendSpan(AppendEntry(dst, Fault, s, backends, 4064), s, 4064) }); n != 0 {
			t.Errorf("%s as entries: %v allocations", name, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s := kinds(b)["http2 over TLS"]
	dst := make([]byte, 0, LineMax)
	for name, f := range formats(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dst = f.Append(dst[:0], s)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

// TestTraceState: the client's tracestate is in the entry of its trace, as one list and as a whole; it is
// left out where lb has begun the trace, and where it does not fit.
func TestTraceState(t *testing.T) {
	const two = "tracestate: a=1,b=\"\\x\r\nAccept: */*\r\nTraceState: c=3\r\n"
	for _, tc := range []struct {
		name, fields string
		given        bool
		attempts     int
		want         string
	}{
		{"two fields", two, true, 1, `a=1,b="\x,c=3`},
		{"lb's own trace", two, false, 1, ""},
		{"none", "", true, 1, ""},
		{"long", "tracestate: a=" + strings.Repeat("b", 510) + "\r\n", true, 1, "a=" + strings.Repeat("b", 510)},
		{"too long", "tracestate: a=" + strings.Repeat("b", 700) + "\r\n", true, 1, ""},
		{"many attempts", "tracestate: a=" + strings.Repeat("b", 510) + "\r\n", true, record.TriesMax, "a=" + strings.Repeat("b", 510)},
	} {
		s := asked(t, "GET /"+strings.Repeat("x", 3000)+" HTTP/1.1\r\nHost: a\r\n"+tc.fields+"\r\n")
		s.Trace = record.Trace{ID: [16]byte{1}, Span: [8]byte{1}, Parent: [8]byte{2}, Given: tc.given, Sampled: true}
		for range tc.attempts {
			s.pick(strings.Repeat("b", 4096), 1)
		}
		entry := AppendSpan(nil, s, 4064)
		var got struct {
			Trace struct{ State string }
			Spans []struct{} `json:"attempt_spans"`
		}
		if err := json.Unmarshal(entry, &got); err != nil || len(entry) > 4064 || got.Trace.State != tc.want || len(got.Spans) != tc.attempts {
			t.Errorf("%s: %v, %d bytes, %d attempts, %q, want %q", tc.name, err, len(entry), len(got.Spans), got.Trace.State, tc.want)
		}
	}
}
