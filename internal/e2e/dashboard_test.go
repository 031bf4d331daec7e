package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"lb/internal/testkit"
	"lb/internal/testkit/browser"
)

// An operator watches lb in a browser: backends and their rates, one that dies, and drains
// another with the token. The page asks nobody but lb, and complains of nothing.
func TestDashboard(t *testing.T) {
	bytesOnly(t)
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		const token = "fifteen-and-one-more"
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{backends: to(a.addr, b.addr), admin: true, tables: checks, keys: fmt.Sprintf("admin.token = %q\n", token)})
		page := browser.Start(t).Open("http://"+p.admin+"/", browser.View{Width: 390, Height: 844})
		says := func(id, text string) {
			t.Helper()
			page.Until(fmt.Sprintf(`document.getElementById(%q).innerText.includes(%q)`, id, text))
		}
		row := func(addr string, words ...string) {
			t.Helper()
			for _, w := range words {
				page.Until(fmt.Sprintf(`[...document.querySelectorAll('tr.backend')].some(r => r.innerText.includes(%q) && r.innerText.includes(%q))`, addr, w))
			}
		}
		says("summary", "All 2 backends take requests")
		row(a.addr, "Up")
		says("listener-rows", p.addr)
		says("loop-rows", "serving")
		says("facts", "number 1")

		stop, over := make(chan struct{}), sync.WaitGroup{}
		over.Go(func() {
			for c := newClient(t); !testkit.IsClosed(stop); {
				if resp, err := c.Get("http://" + p.addr + "/"); err == nil {
					resp.Body.Close()
				}
			}
		})
		page.Until(`document.querySelector('.tile dd span').textContent !== '0'`)
		page.Until(`[...document.querySelectorAll('tr.backend .c-chart:nth-of-type(3) b')].every(n => n.textContent !== '0')`)
		a.kill()
		says("summary", "1 of 2 backends is out, in default")
		row(a.addr, "Down", "cannot be reached for ")
		close(stop)
		over.Wait()
		if m := page.Mistakes(); m != "" {
			t.Errorf("the console says: %s", m)
		}
		var width int
		if page.Eval("document.documentElement.scrollWidth", &width); width > 390 {
			t.Errorf("the page is %d wide at 390", width)
		}

		drainByPage(page, b.addr, token)
		row(b.addr, "Draining", "by an operator")
		says("summary", "No backend of default takes requests")
		if all := p.metrics(t); all[fmt.Sprintf("lb_backend_admin_state{backend=%q,pool=\"default\",state=\"draining\"}", b.addr)] != 1 {
			t.Error("the page has drained nothing")
		}
		for _, url := range page.Requests() {
			if !strings.HasPrefix(url, "http://"+p.admin+"/") && !strings.HasPrefix(url, "data:") && url != "about:blank" {
				t.Errorf("the page has asked for %s", url)
			}
		}
		p.stop(t)
		says("away", "lb is away since ")
	})
}

// drainByPage drains a backend as a user would, who first mistakes the token.
func drainByPage(page *browser.Page, addr, token string) {
	page.Eval(fmt.Sprintf(`document.querySelector('[aria-label="Change %s of default"]').click()`, addr), nil)
	for _, secret := range []string{"not the token at all", token} {
		page.Until(`document.getElementById('act').open && !document.getElementById('act-token-field').hidden`)
		page.Eval(`document.getElementById('act-token').focus()`, nil)
		page.Type(secret)
		page.Key("Enter")
		if secret != token {
			page.Until(`document.getElementById('act-fault').textContent !== ''`)
		}
	}
	page.Until(`!document.getElementById('act').open`)
}

// Without a token nothing can be changed, whatever the page sends; and another page cannot
// read what this one can.
func TestDashboardAlone(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(demo(t, "127.0.0.1:0", "a").Addr()), admin: true})
		ask := func(method, path string, fields ...string) int {
			t.Helper()
			body := ""
			if method == "POST" {
				body = `{"pool":"default","address":"x","action":"drain"}`
			}
			req, _ := http.NewRequest(method, "http://"+p.admin+path, strings.NewReader(body))
			for i := 0; i < len(fields); i += 2 {
				if req.Header.Set(fields[i], fields[i+1]); fields[i] == "Host" {
					req.Host = fields[i+1]
				}
			}
			resp, err := scraper.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		for _, tc := range []struct {
			method, path string
			fields       []string
			want         []int
		}{
			{"GET", "/", nil, []int{200}},
			{"GET", "/", []string{"Host", "evil.example"}, []int{421}},
			{"GET", "/v1/history", nil, []int{200}},
			{"GET", "/v1/events", []string{"Origin", "http://evil.example"}, []int{403}},
			{"POST", "/v1/backends", nil, []int{401, 403}},
			{"POST", "/v1/backends", []string{"Authorization", "Bearer anything"}, []int{401, 403}},
		} {
			got, ok := ask(tc.method, tc.path, tc.fields...), false
			for _, code := range tc.want {
				ok = ok || got == code
			}
			if !ok {
				t.Errorf("%s %s %v: %d, want %v", tc.method, tc.path, tc.fields, got, tc.want)
			}
		}
	})
}
