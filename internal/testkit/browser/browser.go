// Package browser drives a headless Chromium in tests, by the DevTools protocol over two
// pipes (https://chromedevtools.github.io/devtools-protocol/). It knows nothing of lb.
package browser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take, on a busy machine too.
const patience = 60 * time.Second

// Browser is a Chromium that runs. It ends with the test.
type Browser struct {
	t     testing.TB
	out   *os.File
	ended chan struct{} // closed when nothing more is read

	mu      sync.Mutex
	number  int
	answers map[int]chan reply
	pages   map[string]*Page // by session
}

type reply struct {
	ID      int             `json:"id"`
	Session string          `json:"sessionId"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Page is one tab.
type Page struct {
	b       *Browser
	session string

	mu       sync.Mutex
	mistakes []string // errors on the console, exceptions, breaches of the policy
	requests []string // URLs that were asked for
}

// Start runs Chromium, with a profile of its own. It skips the test if there is none,
// unless LB_CI is set.
func Start(t testing.TB) *Browser {
	t.Helper()
	exe, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	home := t.TempDir()
	theirIn, out, err := os.Pipe()
	in, theirOut, err2 := os.Pipe()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server", "--hide-scrollbars",
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-extensions", "--remote-debugging-pipe",
		"--user-data-dir="+home)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, out: out, ended: make(chan struct{}), answers: map[int]chan reply{}, pages: map[string]*Page{}}
	go b.read(in)
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		out.Close()
		<-b.ended
		in.Close()
		for deadline := time.Now().Add(patience); os.RemoveAll(home) != nil && time.Now().Before(deadline); { // its children may still write there
			runtime.Gosched()
		}
	})
	return b
}

// read takes what Chromium says, each message with a zero byte after it.
func (b *Browser) read(in *os.File) {
	defer close(b.ended)
	messages := bufio.NewScanner(in)
	messages.Buffer(nil, 256<<20)
	messages.Split(func(data []byte, _ bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	for messages.Scan() {
		var r reply
		if json.Unmarshal(messages.Bytes(), &r) != nil {
			continue
		}
		b.mu.Lock()
		answer, page := b.answers[r.ID], b.pages[r.Session]
		if r.ID != 0 {
			delete(b.answers, r.ID)
		}
		b.mu.Unlock()
		switch {
		case r.ID != 0 && answer != nil:
			answer <- r
		case page != nil:
			page.note(r)
		}
	}
}

// call gives a command, and reads its result into result unless that is nil.
func (b *Browser) call(session, method string, params map[string]any, result any) {
	b.t.Helper()
	if err := b.try(session, method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

// try is call, and returns what Chromium has against the command.
func (b *Browser) try(session, method string, params map[string]any, result any) error {
	b.t.Helper()
	answer := make(chan reply, 1)
	b.mu.Lock()
	b.number++
	n := b.number
	b.answers[n] = answer
	b.mu.Unlock()
	ask := map[string]any{"id": n, "method": method, "params": params}
	if session != "" {
		ask["sessionId"] = session
	}
	text, err := json.Marshal(ask)
	if err == nil {
		_, err = b.out.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case r := <-answer:
		if r.Error != nil {
			return errors.New(r.Error.Message)
		}
		if result != nil {
			return json.Unmarshal(r.Result, result)
		}
	case <-b.ended:
		b.t.Fatalf("%s: chromium has ended", method)
	case <-time.After(patience):
		b.t.Fatalf("%s: no answer within %v", method, patience)
	}
	return nil
}

// View is how a page is seen.
type View struct {
	Width, Height int // in CSS pixels
	Dark          bool
	Still         bool // the user wants less motion
}

// Open opens a page at url in a context of its own, with nothing stored.
func (b *Browser) Open(url string, v View) *Page {
	b.t.Helper()
	var context struct{ BrowserContextID string }
	b.call("", "Target.createBrowserContext", nil, &context)
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &Page{b: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Runtime", "Log", "Network", "Page"} {
		p.Call(domain+".enable", nil, nil)
	}
	p.Look(v)
	p.Call("Page.navigate", map[string]any{"url": url}, nil)
	p.Until("document.readyState === 'complete' && location.href !== 'about:blank'")
	return p
}

// Call gives a command of the protocol, and reads its result into result unless that is nil.
func (p *Page) Call(method string, params map[string]any, result any) {
	p.b.t.Helper()
	p.b.call(p.session, method, params, result)
}

// Look sets how the page is seen.
func (p *Page) Look(v View) {
	p.b.t.Helper()
	p.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": v.Width, "height": v.Height, "deviceScaleFactor": 1, "mobile": false}, nil)
	scheme, motion := "light", "no-preference"
	if v.Dark {
		scheme = "dark"
	}
	if v.Still {
		motion = "reduce"
	}
	p.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{
		{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}}}, nil)
}

// note keeps what an event says that tests ask for.
func (p *Page) note(r reply) {
	var e struct {
		Type             string
		Args             []struct{ Value any }
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Entry   struct{ Level, Text, URL string }
		Request struct{ URL string }
	}
	if json.Unmarshal(r.Params, &e) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.Method == "Runtime.exceptionThrown":
		p.mistakes = append(p.mistakes, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case r.Method == "Runtime.consoleAPICalled" && (e.Type == "error" || e.Type == "warning"):
		p.mistakes = append(p.mistakes, fmt.Sprint(e.Args))
	case r.Method == "Log.entryAdded" && (e.Entry.Level == "error" || e.Entry.Level == "warning"):
		p.mistakes = append(p.mistakes, e.Entry.Text+" "+e.Entry.URL)
	case r.Method == "Network.requestWillBeSent":
		p.requests = append(p.requests, e.Request.URL)
	}
}

// Mistakes returns what the page has written to the console as errors and warnings,
// exceptions and refusals of the policy included, since the last call.
func (p *Page) Mistakes() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.Join(p.mistakes, "\n")
	p.mistakes = nil
	return text
}

// Requests returns the URLs that the page has asked for.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.requests...)
}

// Eval runs a JavaScript expression in the page, waits for its promise if it is one, and
// reads the value into value unless that is nil.
func (p *Page) Eval(expression string, value any) {
	p.b.t.Helper()
	if err := p.tryEval(expression, value); err != nil {
		p.b.t.Fatalf("%s: %v", expression, err)
	}
}

// tryEval is Eval, and returns what Chromium has against it. An exception ends the test.
func (p *Page) tryEval(expression string, value any) error {
	p.b.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := p.b.try(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out); err != nil {
		return err
	}
	if x := out.ExceptionDetails; x != nil {
		p.b.t.Fatalf("%s: %s %s", expression, x.Text, x.Exception.Description)
	}
	if value != nil {
		return json.Unmarshal(out.Result.Value, value)
	}
	return nil
}

// Text returns the value of an expression that is a string.
func (p *Page) Text(expression string) (s string) {
	p.b.t.Helper()
	p.Eval(expression, &s)
	return s
}

// Until waits until an expression is true.
func (p *Page) Until(expression string) {
	p.b.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); ; {
		var ok bool
		err := p.tryEval("!!("+expression+")", &ok) // which fails while the page gives way to another
		if ok && err == nil {
			return
		}
		if time.Now().After(end) {
			p.b.t.Fatalf("not true within %v: %s, %v\nthe page says:\n%s\n%s", patience, expression, err, p.Text("document.body.innerText"), p.Mistakes())
		}
		<-look.C
	}
}

// Key presses and releases a key, such as "Tab" or "Enter".
func (p *Page) Key(key string) {
	p.b.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowDown": 40, "End": 35}
	params := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
	switch key {
	case "Enter":
		params["text"] = "\r"
	case " ":
		params["text"], params["code"] = " ", "Space"
	}
	p.Call("Input.dispatchKeyEvent", params, nil)
	params["type"] = "keyUp"
	delete(params, "text")
	p.Call("Input.dispatchKeyEvent", params, nil)
}

// Type writes text where the focus is.
func (p *Page) Type(text string) {
	p.b.t.Helper()
	p.Call("Input.insertText", map[string]any{"text": text}, nil)
}

// Screenshot returns the view as a PNG.
func (p *Page) Screenshot() []byte {
	p.b.t.Helper()
	var shot struct{ Data string }
	p.Call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		p.b.t.Fatal(err)
	}
	return png
}
