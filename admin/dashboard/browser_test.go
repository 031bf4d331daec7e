package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
	"lb/internal/testkit/browser"
)

var wide = browser.View{Width: 1440, Height: 900}

// open opens the page, and returns when it shows what lb has said. At the end the page must
// not have complained, nor asked anybody but its own server.
func open(t *testing.T, b *browser.Browser, url string, v browser.View) *browser.Page {
	t.Helper()
	p := b.Open(url, v)
	p.Until(`document.querySelector('#state .word').textContent === 'Serving'`)
	t.Cleanup(func() {
		if m := p.Mistakes(); m != "" {
			t.Errorf("the console says:\n%s", m)
		}
		for _, r := range p.Requests() {
			if !strings.HasPrefix(r, url) && !strings.HasPrefix(r, "data:") && r != "about:blank" {
				t.Errorf("the page has asked for %s", r)
			}
		}
	})
	return p
}

// row is the text of the row that begins with this name.
func row(p *browser.Page, name string) string {
	return p.Text(fmt.Sprintf(`[...document.querySelectorAll('#rows tr')].find(r => r.querySelector('.name, .address')?.textContent === %q)?.innerText.replace(/\s+/g, ' ') ?? ''`, name))
}

// Each state has a word and a shape of its own, a reason, and a sentence that sums up.
func TestStates(t *testing.T) {
	testkit.Long(t)
	b := browser.Start(t)
	p := open(t, b, serve(t, degraded(), nil), wide)
	for name, want := range map[string]string{
		"10.0.1.11:8080": "Up for 3 d 4 h",
		"10.0.1.12:8080": "Down no answer in time for 4 min",
		"10.0.1.13:8080": "Ejected status 503, ",
		"10.0.1.14:8080": "Draining by an operator",
		"10.0.3.12:8080": "Up 3 min ago: reset while waiting",
		"web":            "web least_conn 1 of 4 ready",
		"checkout":       "checkout p2c 0 of 3 ready",
	} {
		if got := row(p, name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for word, shape := range map[string]string{"Up": "up", "Down": "down", "Ejected": "ejected", "Draining": "draining"} {
		p.Until(fmt.Sprintf(`[...document.querySelectorAll('#rows .state')].some(s => s.innerText === %q && s.querySelector('use').getAttribute('href') === '#s-%s')`, word, shape))
	}
	for of, want := range map[string]string{
		"summary": "No backend of checkout takes requests", "problems": "lb.toml:41: pools.web.strategy", "certificate-rows": "api.example.com",
		"fault-list": "Backend 10.0.1.12:8080: too slow while waiting for the answer (timeouts.response)", "listener-rows": "redirect to https", "loop-rows": "starting", "facts": "number 7",
	} {
		if got := p.Text("document.getElementById('" + of + "').innerText"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", of, got, want)
		}
	}
	p.Eval(`[...document.querySelectorAll('summary')].find(s => s.innerText.includes('/cart/')).click()`, nil)
	p.Until(`document.querySelector('details[open] pre')?.innerText.includes('authorization: ***')`)
	if got := p.Text(`document.querySelector('details[open]').innerText`); !strings.Contains(got, "cannot be reached (connection refused)") || !strings.Contains(got, "Attempts") {
		t.Errorf("a fault: %q", got)
	}
	if !strings.HasPrefix(p.Text("document.title"), "! lb") {
		t.Errorf("the title is %q", p.Text("document.title"))
	}
}

// Healthy and empty, too; and at no width the page scrolls sideways.
func TestWidths(t *testing.T) {
	testkit.Long(t)
	b := browser.Start(t)
	long := poolOf("a-pool-with-a-rather-long-name-that-somebody-has-chosen", "consistent_hash", 9, 1)
	long.Backends[0].Address = "unix:/run/a/directory/with/a/very/long/path/to/the/socket/of/an/application.sock"
	sick := degraded()
	sick.change(func(s *api.Status) { s.Pools = append(s.Pools, long) })
	for want, f := range map[string]*fake{
		"All 5 backends take requests": newFake(poolOf("web", "p2c", 1, 5)), "No backend of checkout": sick, "There are no backends yet": nothing(),
	} {
		p := open(t, b, serve(t, f, nil), wide)
		p.Until(fmt.Sprintf(`document.getElementById('summary').innerText.includes(%q)`, want))
		for _, w := range []int{320, 390, 600, 768, 940, 941, 1024, 1319, 1320, 1440, 1920} {
			p.Look(browser.View{Width: w, Height: 800})
			p.Until(fmt.Sprintf("innerWidth === %d", w))
			p.Eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))", nil)
			var width int
			if p.Eval("document.documentElement.scrollWidth", &width); width > w {
				t.Errorf("%s: %d wide at %d", want, width, w)
			}
			if cut := p.Text(`[...document.querySelectorAll('#rows .label')].filter(x => x.scrollWidth > x.parentElement.clientWidth).map(x => x.innerText).join()`); w == 390 && cut != "" {
				t.Errorf("%s: words are cut off at %d: %s", want, w, cut)
			}
		}
	}
}

// switching serves a source at a time, or none.
type switching struct{ now atomic.Pointer[Events] }

func (s *switching) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e := s.now.Load(); e != nil {
		e.ServeHTTP(w, r)
		return
	}
	http.Error(w, "not now", http.StatusServiceUnavailable)
}

// A backend that dies is seen and said; so is lb that goes away and comes back.
func TestLive(t *testing.T) {
	testkit.Long(t)
	f := newFake(poolOf("web", "p2c", 1, 3))
	var at switching
	at.now.Store(NewEvents(f))
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", Page())
	mux.Handle("GET /v1/events", &at)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { // after open has looked at the console
		if e := at.now.Load(); e != nil {
			e.Close()
		}
		server.Close()
	})
	url := server.URL + "/"
	b := browser.Start(t)
	p := open(t, b, url, wide)
	p.Until(`document.getElementById('summary').innerText === 'All 3 backends take requests'`)
	f.change(func(s *api.Status) {
		b := &s.Pools[0].Backends[1]
		b.Health, b.HealthReason, b.Since = "down", "cannot be reached", time.Now()
	})
	f.followed(t)
	f.fail(faultTexts(time.Now())[0])
	p.Until(`document.getElementById('summary').innerText === '1 of 3 backends is out, in web'`)
	p.Until(`document.getElementById('said').textContent.includes('10.0.1.12:8080 of web: down')`)
	p.Until(`document.getElementById('fault-list').innerText.includes('cannot be reached (connection refused)')`)
	f.fail(`{"kind":"fault","time":"2026-11-27T04:30:00Z","status":500,"pool":"web","backend":"10.0.1.11:8080","total_us":2900,"end":"ok"}`)
	p.Until(`document.getElementById('fault-list').innerText.includes('Backend 10.0.1.11:8080: answered 500')`)
	if got := row(p, "10.0.1.12:8080"); !strings.Contains(got, "Down cannot be reached") {
		t.Errorf("%q", got)
	}
	f.change(func(s *api.Status) { s.Totals.Requests += 5000 })
	p.Until(`document.querySelector('.tile dd span').textContent !== '0'`)
	at.now.Swap(nil).Close()
	p.Until(`document.getElementById('away').innerText.startsWith('lb is away since ') && document.querySelector('#state .word').textContent === 'Away'`)
	p.Mistakes() // that it was refused is on the console
	at.now.Store(NewEvents(f))
	p.Until(`document.getElementById('away').hidden && document.querySelector('#state .word').textContent === 'Serving'`)
	p.Mistakes()
}

// desk answers POST /v1/backends as lb does.
type desk struct {
	f  *fake
	mu sync.Mutex
	// asked are the bodies that came with the token.
	asked []string
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	refuse := func(code int, text string) {
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(map[string]string{"error": text})
	}
	if r.Header.Get("Authorization") != "Bearer open sesame" {
		refuse(http.StatusUnauthorized, "the token is wrong")
		return
	}
	var ask struct {
		Pool, Address, Action string
		Weight                int
	}
	json.NewDecoder(r.Body).Decode(&ask)
	d.asked = append(d.asked, fmt.Sprint(ask.Pool, " ", ask.Address, " ", ask.Action, " ", ask.Weight))
	if ask.Weight == 13 {
		refuse(http.StatusConflict, "13 is <b>unlucky</b>")
		return
	}
	d.f.change(func(s *api.Status) {
		b := &s.Pools[0].Backends[1]
		switch ask.Action {
		case "drain":
			b.Admin, b.Runtime = api.Drained, true
		case "enable":
			b.Admin, b.Runtime = api.Enabled, false
		case "weight":
			b.Weight, b.Runtime = ask.Weight, true
		}
		json.NewEncoder(w).Encode(b)
	})
}

// By keyboard alone: a backend is drained with the token, after a wrong one; the token stays
// in the tab; a refusal is shown as text; another change does not ask for it again.
func TestActions(t *testing.T) {
	testkit.Long(t)
	f := newFake(poolOf("web", "p2c", 1, 3))
	d := &desk{f: f}
	b := browser.Start(t)
	p := open(t, b, serve(t, f, map[string]http.HandlerFunc{"POST /v1/backends": d.ServeHTTP}), wide)
	more := `[...document.querySelectorAll('.more')].find(b => b.getAttribute('aria-label') === 'Change 10.0.1.12:8080 of web')`
	p.Until(more)
	p.Eval(more+`.focus()`, nil)
	p.Key("Enter")
	p.Until(`document.getElementById('act').open && document.querySelector('[name=action]:checked').value === 'drain'`)
	token := func(text string) {
		t.Helper()
		p.Until(`!document.getElementById('act-token-field').hidden`)
		p.Eval(`document.getElementById('act-token').focus()`, nil)
		p.Type(text)
		p.Key("Enter")
	}
	token("wrong")
	p.Until(`document.getElementById('act-fault').textContent === 'the token is wrong'`)
	token("open sesame")
	p.Until(`!document.getElementById('act').open`)
	p.Until(`document.activeElement === ` + more)
	p.Until(`[...document.querySelectorAll('#rows .state')].some(s => s.innerText === 'Draining')`)
	if got := p.Text(`JSON.stringify([sessionStorage, localStorage, document.cookie])`); got != `[{"lb-token":"open sesame"},{},""]` {
		t.Errorf("stored: %s", got)
	}
	p.Key("Enter")
	p.Until(`document.getElementById('act').open && document.getElementById('act-token-field').hidden`)
	p.Eval(`document.querySelector('[value=weight]').click(); document.getElementById('act-weight').value = 13; document.getElementById('act-do').click()`, nil)
	p.Until(`document.getElementById('act-fault').innerText === '13 is <b>unlucky</b>'`)
	p.Eval(`document.getElementById('act-weight').value = 40; document.getElementById('act-do').click()`, nil)
	p.Until(`!document.getElementById('act').open`)
	p.Key("Enter")
	p.Until(`document.getElementById('act').open && document.querySelector('[name=action]:checked').value === 'enable'`)
	p.Key("Escape")
	p.Until(`!document.getElementById('act').open`)
	d.mu.Lock()
	defer d.mu.Unlock()
	if got, want := strings.Join(d.asked, "; "), "web 10.0.1.12:8080 drain 0; web 10.0.1.12:8080 weight 13; web 10.0.1.12:8080 weight 40"; got != want {
		t.Errorf("asked: %s, want %s", got, want)
	}
	p.Until(`[...document.querySelectorAll('.changed')].some(w => w.innerText === '40')`)
	p.Mistakes() // that lb has refused is on the console
}

// What clients and backends have written is text, wherever it is shown.
func TestHostile(t *testing.T) {
	testkit.Long(t)
	const evil = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&amp;"'` + "\u202e"
	pool := poolOf(evil, evil, 1, 2)
	pool.Backends[0].Address = evil
	pool.Backends[1].Health, pool.Backends[1].HealthReason = "down", evil
	f := newFake(pool)
	f.status.Version, f.status.Config.Fault, f.status.Config.File, f.status.UpgradeFault = evil, evil, evil, evil
	f.status.Certificates[0].Name, f.status.Certificates[0].Fault, f.status.Listeners[0].Address = evil, evil, evil
	text, _ := json.Marshal(evil)
	fault := strings.ReplaceAll(`{"kind":"fault","time":"2026-05-04T12:00:00Z","client":X,"method":X,"host":X,"target":X,"status":502,"pool":X,"route":X,"request_id":X,"backend":X,"attempts":[{"backend":X,"cause":X,"phase":X,"us":1}],"phases":{X:3},"end":"backend","end_phase":X,"end_why":X,"end_detail":X,"head":X,"answer":X,"backends":[{"backend":X,"state":X,"in_flight":1}]}`, "X", string(text))
	f.faults = append(f.faults, json.RawMessage(fault))
	b := browser.Start(t)
	p := open(t, b, serve(t, f, nil), wide)
	p.Until(`document.querySelector('summary')`)
	p.Eval(`document.querySelector('summary').click(); document.querySelector('.more').click()`, nil)
	p.Until(`document.querySelector('details[open] pre') && document.getElementById('act').open`)
	for of, n := range map[string]int{"#rows": 4, "#fault-list": 8, "#problems": 3, "#act-title": 2, "#version": 1, "#certificate-rows": 1, "#listener-rows": 1} {
		var got int
		if p.Eval(fmt.Sprintf(`document.querySelector(%q).textContent.split('<img src=x').length - 1`, of), &got); got < n {
			t.Errorf("%s: %d times, want %d", of, got, n)
		}
	}
	if p.Text(`[document.images.length, document.scripts.length, window.hacked ?? 0].join()`) != "0,1,0" {
		t.Error("text has become markup")
	}
	if got := p.Text(`(() => { try { document.body.innerHTML += '<i>'; return 'written' } catch { return 'refused' } })()`); got != "refused" {
		t.Errorf("markup from a string is %s", got)
	}
	if m := p.Mistakes(); strings.Count(m, "\n") > 1 || !strings.Contains(m, "TrustedHTML") {
		t.Errorf("more than that refusal: %s", m)
	}
}
