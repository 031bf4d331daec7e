package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lb/admin"
	"lb/admin/api"
	"lb/internal/testkit"
)

// recorder is an lb with records, whose streams end where a test wants it.
type recorder struct {
	*testkit.Control
	mu     sync.Mutex
	asked  []string
	stream streamer
}

// streamer sends what it has to each.
type streamer = func(ctx context.Context, each func(json.RawMessage)) error

// note takes down a question, and returns the stream that answers it.
func (r *recorder) note(format string, args ...any) streamer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprintf(format, args...))
	return r.stream
}

// answer makes s the stream that answers what is asked from now on.
func (r *recorder) answer(s streamer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream = s
}

// questions returns what was asked.
func (r *recorder) questions() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.asked, "; ")
}

func (r *recorder) Trace(ctx context.Context, ask api.TraceAsk, each func(json.RawMessage)) error {
	return r.note("%q %q %v", ask.Client, ask.ID, ask.For)(ctx, each)
}

func (r *recorder) FollowFaults(ctx context.Context, most int, each func(json.RawMessage)) error {
	return r.note("follow %d", most)(ctx, each)
}

// record starts a recorder with n failed exchanges, and returns its socket.
func record(t *testing.T, n int) (r *recorder, socket string) {
	t.Helper()
	r = &recorder{Control: &testkit.Control{}}
	for i := range n {
		r.Records = append(r.Records, failed(i))
	}
	socket = filepath.Join(t.TempDir(), "s")
	server := admin.NewRuntime(r, nil)
	l, err := server.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return r, socket
}

// failed returns a failed exchange with this number in its target.
func failed(i int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"kind":"fault","time":"2026-11-27T04:30:00.123456Z","client":"192.0.2.1","method":"GET","host":"a.example","target":"/%d?<&>","protocol":"HTTP/1.1","status":502,"bytes":0,"bytes_in":0,`+
		`"pool":"web","backend":"10.0.0.1:80","attempts":[{"backend":"10.0.0.1:80","cause":"reset","phase":"wait","us":1200}],"phases":{"first_byte":1100},"total_us":1200,"reused":false,`+
		`"end":"backend","end_phase":"wait","end_why":"reset","end_detail":"connection reset by peer","head":"GET / HTTP/1.1\r\nCookie: ***\r\n\r\n"}`, i))
}

// TestFaults: the newest stand last; the first line of each says whose fault it was.
func TestFaults(t *testing.T) {
	_, socket := record(t, 5)
	code, out, errOut := give("faults", "-n", "2", "--socket", socket)
	if code != 0 || errOut != "" {
		t.Fatalf("exit code %d with %q", code, errOut)
	}
	const first = "2026-11-27 04:30:00.123Z  502  backend 10.0.0.1:80 of pool web: closed the connection while lb waited for the answer: connection reset by peer [backend/wait/reset]\n"
	if n := strings.Count(out, first); n != 2 || !strings.HasPrefix(out, first) {
		t.Errorf("%d of\n%sin\n%s", n, first, out)
	}
	if three, four := strings.Index(out, "a.example/3?"), strings.Index(out, "a.example/4?"); three < 0 || four < three || strings.Contains(out, "Cookie") {
		t.Errorf("%s", out)
	}
	if _, out, _ := give("faults", "--heads", "--socket", socket); strings.Count(out, "> Cookie: ***") != 5 {
		t.Errorf("%s", out)
	}
	_, out, _ = give("faults", "--json", "--socket", socket)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	for i, line := range lines {
		var e api.Exchange
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Target != fmt.Sprintf("/%d?<&>", i) {
			t.Errorf("line %d: %v, %s", i, err, line)
		}
	}
	if len(lines) != 5 {
		t.Errorf("%d lines", len(lines))
	}
	_, socket = record(t, 0)
	if code, out, _ := give("faults", "--socket", socket); code != 0 || out != "nothing has failed or was slow\n" {
		t.Errorf("exit code %d with %q", code, out)
	}
}

// TestFaultsFollow: the newest, then each that comes, until Ctrl-C, which is no failure. In
// an upgrade the new process goes on, and nothing is printed twice.
func TestFaultsFollow(t *testing.T) {
	r, socket := record(t, 0)
	var streams atomic.Int64
	r.answer(func(ctx context.Context, each func(json.RawMessage)) error {
		number := int(streams.Add(1))
		for i := range 3 {
			each(failed(number + i))
		}
		if number == 3 {
			<-ctx.Done()
		}
		return nil
	})
	p := testkit.Start(t, command(t.TempDir(), "faults", "-f", "-n", "2", "--json", "--socket", socket))
	testkit.Until(t, "the last line", func() bool { return strings.Count(p.Out.String(), "\n") >= 5 })
	p.Signal(t, os.Interrupt)
	if code := p.ExitCode(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var targets []string
	for line := range strings.Lines(p.Out.String()) {
		var e api.Exchange
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		targets = append(targets, strings.TrimSuffix(e.Target, "?<&>"))
	}
	if got := strings.Join(targets, " "); got != "/1 /2 /3 /4 /5" {
		t.Errorf("%s", got)
	}
	if got := r.questions(); got != "follow 2; follow 256; follow 256" {
		t.Errorf("asked %s", got)
	}
}

// TestTrace: heads of what matches, then how many there were.
func TestTrace(t *testing.T) {
	r, socket := record(t, 0)
	r.answer(func(ctx context.Context, each func(json.RawMessage)) error {
		each(failed(1))
		each(json.RawMessage(`{"kind":"lost","lost":7}`))
		each(failed(2))
		<-ctx.Done()
		return nil
	})
	code, out, errOut := give("trace", "--client", "192.0.2.0/24", "--for", "1s", "--socket", socket)
	if code != 0 || strings.Count(out, "> Cookie: ***") != 2 || !strings.Contains(out, "7 exchanges lost") || !strings.HasPrefix(errOut, "lb: 2 exchanges matched in ") {
		t.Errorf("exit code %d with\n%s%s", code, out, errOut)
	}
	code, out, errOut = give("trace", "--id", "0190", "--for", "1s", "--json", "--socket", socket)
	if code != 0 || strings.Count(out, "\n") != 3 || !strings.HasPrefix(errOut, "lb: 2 exchanges matched in ") {
		t.Errorf("exit code %d with\n%s%s", code, out, errOut)
	}
	if got := r.questions(); got != `"192.0.2.0/24" "" 1s; "" "0190" 1s` {
		t.Errorf("asked %s", got)
	}
	r.answer(func(context.Context, func(json.RawMessage)) error { return api.AskError("\"x\" is no address") })
	if code, _, errOut := give("trace", "--client", "x", "--socket", socket); code != 1 || errOut != "lb: \"x\" is no address\n" {
		t.Errorf("exit code %d with %q", code, errOut)
	}
}

// TestWrongFlags: of faults, trace and top.
func TestWrongFlags(t *testing.T) {
	for args, want := range map[string]string{
		"faults -n 0":             "lb: --last: 0 is out of range; use 1 to 256\n",
		"trace":                   "lb: missing flags: --client=IP[/N] or --id=ID; see lb trace --help\n",
		"trace --client a --id b": "lb: --client and --id can't be used together; see lb trace --help\n",
		"trace --id a --for 1ms":  "lb: --for: 1ms is not accepted; use whole seconds, 1s to 10m0s\n",
		"top --every 1ms":         "lb: --every: 1ms is too often; use 200ms or more\n",
	} {
		if code, out, errOut := give(strings.Fields(args)...); code != 2 || out != "" || errOut != want {
			t.Errorf("lb %s: exit code %d with %q, want %q", args, code, out+errOut, want)
		}
	}
}
