package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/admin/rest"
	"lb/config"
	"lb/internal/testkit"
)

// commands serves c on a socket in a directory of its own until the test ends.
func commands(t *testing.T, c api.Control) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	r := NewRuntime(c, nil)
	l, err := r.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(l)
	t.Cleanup(func() { closeRuntime(t, r) })
	return path
}

func closeRuntime(t *testing.T, r *Runtime) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestCommands: every command arrives, and the answers come back, field by field.
func TestCommands(t *testing.T) {
	c := &testkit.Control{}
	for _, v := range []any{&c.Running, &c.Reloaded, &c.Upgraded, &c.Changed} {
		fill(t, reflect.ValueOf(v).Elem(), new(int))
	}
	client := NewClient(commands(t, c))
	for _, tc := range []struct {
		name, want string
		ask        func() (got any, err error)
		answer     any
	}{
		{"Status", "status", func() (any, error) { return client.Status() }, c.Running},
		{"Backends", "status", func() (any, error) { return client.Backends() }, c.Running.Pools},
		{"Reload", "reload plan=false", func() (any, error) { return client.Reload(false) }, c.Reloaded},
		{"plan", "reload plan=true", func() (any, error) { return client.Reload(true) }, c.Reloaded},
		{"Upgrade", `upgrade "/b i\"n"`, func() (any, error) { return client.Upgrade(`/b i"n`) }, c.Upgraded},
		{"Upgrade to the same", `upgrade ""`, func() (any, error) { return client.Upgrade("") }, c.Upgraded},
		{"Drain", "drain", func() (any, error) { return nil, client.Drain() }, nil},
		{"SetBackend", "drain api [::1]:80 0", func() (any, error) { return client.SetBackend("api", "[::1]:80", api.Drain, 0) }, c.Changed},
		{"weight", "weight api unix:/s 7", func() (any, error) { return client.SetBackend("api", "unix:/s", api.Weight, 7) }, c.Changed},
	} {
		got, err := tc.ask()
		if err != nil || !reflect.DeepEqual(got, tc.answer) {
			t.Errorf("%s: got\n%+v, %v, want\n%+v", tc.name, got, err, tc.answer)
		}
		if asked := c.Asked(); asked != tc.want {
			t.Errorf("%s: asked was %s, want %s", tc.name, asked, tc.want)
		}
	}
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z]+)*(,omit(empty|zero))?$`)

// fill puts a value that is not zero into every field of v, and checks the names of the
// fields in JSON.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000+int64(*n), 5000).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("json"); !snake.MatchString(tag) {
				t.Errorf("%v.%s is called %q", v.Type(), v.Type().Field(i).Name, tag)
			}
			fill(t, v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text <%d>", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(*n))
	default:
		t.Fatalf("no way to fill a %v", v.Type())
	}
}

// TestRefusals: the words of lb come back, and the kind of the error.
func TestRefusals(t *testing.T) {
	c := &testkit.Control{}
	path := commands(t, c)
	client := NewClient(path)
	file := config.Errors{
		{File: "/etc/lb.toml", Line: 3, Column: 8, Key: "port", What: "is \"odd\"", Hint: "use <80>"},
		{File: "/etc/lb.toml", Line: 9, Column: 1, What: "is no TOML"},
	}
	for _, tc := range []struct {
		err  error
		code int
		want string
	}{
		{errors.New("no"), http.StatusConflict, "no"},
		{api.NotFoundError("there is no pool \"apo\"; did you mean \"api\"?"), http.StatusNotFound, "there is no pool \"apo\"; did you mean \"api\"?"},
		{fmt.Errorf("refused: %w", file), http.StatusUnprocessableEntity, "refused: " + file.Error()},
	} {
		c.Err = tc.err
		for name, ask := range map[string]func() error{
			"reload":     func() error { _, err := client.Reload(false); return err },
			"upgrade":    func() error { _, err := client.Upgrade(""); return err },
			"drain":      client.Drain,
			"setBackend": func() error { _, err := client.SetBackend("a", "b", api.Enable, 0); return err },
		} {
			err := ask()
			if err == nil || err.Error() != tc.want {
				t.Errorf("%s: %v, want %s", name, err, tc.want)
			}
			var none *NoAnswerError
			if errors.As(err, &none) {
				t.Errorf("%s: %v is an answer", name, err)
			}
		}
		_, err := client.Reload(true)
		var got config.Errors
		if errors.As(err, &got) != (tc.code == http.StatusUnprocessableEntity) || got != nil && !reflect.DeepEqual(got, file) {
			t.Errorf("%v: config.Errors come back as %v", tc.err, got)
		}
		if code, body := speak(t, path, "POST /v1/reload", "{}"); code != tc.code {
			t.Errorf("%v: status %d, want %d: %s", tc.err, code, tc.code, body)
		}
	}
}

// TestReloadInPart: the error comes back, and what was changed in spite of it.
func TestReloadInPart(t *testing.T) {
	c := &testkit.Control{
		Reloaded: api.Reloaded{Number: 4, Changes: []string{"port: 1 -> 2"}},
		Err:      errors.New("loop 3 has not taken it up yet"),
	}
	got, err := NewClient(commands(t, c)).Reload(false)
	if err == nil || err.Error() != c.Err.Error() || !reflect.DeepEqual(got, c.Reloaded) {
		t.Errorf("%+v, %v; want %+v, %v", got, err, c.Reloaded, c.Err)
	}
}

// speak makes one request as it is written, and returns the answer.
func speak(t *testing.T, path, line, body string) (code int, answer string) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testkit.Patience))
	go fmt.Fprintf(conn, "%s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body)
	b, err := io.ReadAll(conn)
	if _, scanErr := fmt.Sscanf(string(b), "HTTP/1.0 %d", &code); scanErr != nil {
		t.Fatalf("%s: %q, %v", line, b, err)
	}
	_, answer, _ = strings.Cut(string(b), "\r\n\r\n")
	return code, answer
}

// TestOddRequests: a request that is not a command does nothing.
func TestOddRequests(t *testing.T) {
	c := &testkit.Control{}
	path := commands(t, c)
	for _, tc := range []struct {
		line, body string
		code       int
		asked      string
	}{
		{"POST /v1/reload", "", 200, "reload plan=false"},
		{"POST /v1/reload", " {\"plan\": true} ", 200, "reload plan=true"},
		{"POST /v1/reload", "{\"plan\": \"yes\"}", 400, ""},
		{"POST /v1/reload", "{\"plam\": true}", 400, ""},
		{"POST /v1/reload", "{} {}", 400, ""},
		{"POST /v1/reload", "plan", 400, ""},
		{"POST /v1/reload", "{\"plan\": " + strings.Repeat(" ", rest.BodyMax) + "true}", 413, ""},
		{"POST /v1/backends", "[]", 400, ""},
		{"POST /v1/backends", "{\"pool\":\"a\",\"address\":\"b\",\"action\":\"weight\",\"weight\":1.5}", 400, ""},
		{"POST /v1/drain", "{\"now\":true}", 400, ""},
		{"POST /v1/drain", "", 200, "drain"},
		{"GET /v1/reload", "", 405, ""},
		{"GET /v1/drain", "", 405, ""},
		{"POST /v1/status", "", 405, ""},
		{"DELETE /v1/backends", "", 405, ""},
		{"GET /v2/status", "", 404, ""},
		{"GET /", "", 404, ""},
	} {
		code, answer := speak(t, path, tc.line, tc.body)
		if asked := c.Asked(); code != tc.code || asked != tc.asked {
			t.Errorf("%s %.40s: %d %.200s, asked was %q; want %d, %q", tc.line, tc.body, code, answer, asked, tc.code, tc.asked)
		}
	}
}

// TestCloseAnswers: Close returns after a running command is answered, and leaves
// nothing of the server, not even its socket.
func TestCloseAnswers(t *testing.T) {
	hold := make(chan struct{})
	c := &testkit.Control{Hold: hold, Running: api.Status{PID: 7}}
	path := filepath.Join(t.TempDir(), "s")
	r := NewRuntime(c, nil)
	l, err := r.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(l)
	answered := make(chan error, 1)
	go func() {
		s, err := NewClient(path).Status()
		if err == nil && s.PID != 7 {
			err = fmt.Errorf("another status: %+v", s)
		}
		answered <- err
	}()
	testkit.Until(t, "the command to arrive", func() bool { return c.Asked() != "" })
	closed := make(chan struct{})
	go func() { closeRuntime(t, r); close(closed) }()
	testkit.Until(t, "the socket to go", func() bool { _, err := os.Lstat(path); return err != nil })
	close(hold)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-closed
}

// TestServeTwoSockets: closing one listener leaves the other alone.
func TestServeTwoSockets(t *testing.T) {
	dir := t.TempDir()
	r := NewRuntime(&testkit.Control{}, nil)
	defer closeRuntime(t, r)
	first, err := r.Listen(filepath.Join(dir, "first"))
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(first)
	second, err := r.Listen(filepath.Join(dir, "second"))
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(second)
	first.Close()
	var none *NoAnswerError
	if err := NewClient(filepath.Join(dir, "first")).Drain(); !errors.As(err, &none) {
		t.Errorf("on the closed one: %v", err)
	}
	if err := NewClient(filepath.Join(dir, "second")).Drain(); err != nil {
		t.Errorf("on the other: %v", err)
	}
}
