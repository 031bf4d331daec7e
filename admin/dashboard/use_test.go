package dashboard

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"lb/admin/api"
	"lb/internal/testkit"
	"lb/internal/testkit/browser"
)

// unread is what a check of the page finds wrong, one line each. A control has a name, a
// table has rows and cells also where the style makes blocks of them, there is one of each
// landmark, and text stands out from what is behind it (WCAG 2.2, 1.4.3: 4.5 to 1, or 3 to
// 1 for large text).
const unread = `(() => {
	const wrong = [];
	for (const [what, n] of [['header', 1], ['main', 1], ['h1', 1], ['[role=status][aria-live=polite]', 1], ['a[href="#backends"]', 1], ['html[lang=en]', 1]])
		if (document.querySelectorAll(what).length !== n) wrong.push(what + ' is not there ' + n + ' times');
	for (const s of document.querySelectorAll('section'))
		if (!document.getElementById(s.getAttribute('aria-labelledby'))?.textContent.trim()) wrong.push('a section without a name: ' + s.id);
	for (const c of document.querySelectorAll('button, input, select, summary')) {
		const name = c.getAttribute('aria-label') || c.textContent.trim() || c.closest('label')?.textContent.trim();
		if (!name) wrong.push('a control without a name: ' + c.outerHTML);
	}
	for (const s of document.querySelectorAll('svg')) if (s.getAttribute('aria-hidden') !== 'true') wrong.push('a picture that is read: ' + s.outerHTML.slice(0, 80));
	for (const tr of document.querySelectorAll('#rows tr:not(.gap)')) {
		if (tr.getAttribute('role') !== 'row' || !tr.querySelector('[role=rowheader]') || tr.querySelectorAll('[role=cell]').length !== 8) wrong.push('no row: ' + tr.innerText);
		if (!tr.querySelector('.state .word').innerText) wrong.push('a state without a word');
	}
	const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
	const rgba = (text) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = text;
		canvas.fillRect(0, 0, 1, 1);
		const d = canvas.getImageData(0, 0, 1, 1).data;
		return [d[0], d[1], d[2], d[3] / 255];
	};
	const behind = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) {
			const c = rgba(getComputedStyle(e).backgroundColor);
			if (c[3] > 0) layers.push(c);
			if (c[3] === 1) break;
		}
		let out = [255, 255, 255];
		for (const c of layers.reverse()) out = out.map((v, i) => v * (1 - c[3]) + c[i] * c[3]);
		return out;
	};
	const light = (c) => {
		const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	const seen = new Set();
	let checked = 0;
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || seen.has(e) || !e.checkVisibility({ visibilityProperty: true }) || e.closest('script, style, noscript')) continue;
		seen.add(e);
		const style = getComputedStyle(e), a = light(rgba(style.color)), b = light(behind(e)), size = parseFloat(style.fontSize);
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
		checked++;
		if (ratio < (large ? 3 : 4.5)) wrong.push(ratio.toFixed(2) + ' to 1: ' + e.textContent.slice(0, 40) + ' ' + e.className);
	}
	if (checked < 60) wrong.push('only ' + checked + ' texts');
	return wrong.join('\n');
})()`

// The page can be read by those who do not see it, or not well, in both themes and both
// layouts.
func TestReadable(t *testing.T) {
	testkit.Long(t)
	b := browser.Start(t)
	p := open(t, b, serve(t, degraded(), nil), wide)
	p.Until(`document.querySelector('summary')`)
	p.Eval(`document.querySelector('summary').click()`, nil)
	p.Until(`document.querySelector('details[open] .detail')`)
	for _, dialog := range []bool{false, true} {
		if dialog {
			p.Eval(`document.querySelector('.more').click()`, nil)
		}
		for _, v := range []browser.View{{Width: 1440, Height: 900}, {Width: 1440, Height: 900, Dark: true}, {Width: 390, Height: 800}, {Width: 390, Height: 800, Dark: true}} {
			p.Look(v)
			p.Until(fmt.Sprintf(`innerWidth === %d && matchMedia('(prefers-color-scheme: dark)').matches === %v`, v.Width, v.Dark))
			p.Eval(`Promise.all(document.getAnimations().map(a => a.finished))`, nil)
			if wrong := p.Text(unread); wrong != "" {
				t.Errorf("%+v, dialog %v:\n%s", v, dialog, wrong)
			}
		}
	}
}

// The tree that a screen reader gets has the table, its headers and the names of controls.
func TestScreenReader(t *testing.T) {
	testkit.Long(t)
	b := browser.Start(t)
	p := open(t, b, serve(t, degraded(), nil), browser.View{Width: 390, Height: 800})
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	p.Call("Accessibility.enable", nil, nil)
	p.Call("Accessibility.getFullAXTree", nil, &tree)
	found := map[string]int{}
	for _, n := range tree.Nodes {
		if !n.Ignored {
			found[fmt.Sprint(n.Role.Value)]++
			found[fmt.Sprint(n.Role.Value, " ", n.Name.Value)]++
		}
	}
	for what, n := range map[string]int{
		"banner": 1, "main": 1, "table Pools and backends": 1, "rowheader 10.0.1.12:8080": 1, "columnheader State": 2, "columnheader Pool, backend": 1,
		"button Change 10.0.1.12:8080 of web": 1, "button Backends of web": 1, "searchbox Filter": 1, "combobox Order as in the file": 0,
		"heading No backend of checkout takes requests": 1, "region Recent faults": 1, "status": 1, "link Skip to the backends": 1,
	} {
		if found[what] < n {
			t.Errorf("%q: %d times, want %d", what, found[what], n)
		}
	}
}

// With the keyboard, the first stop is the way past the head; what has the focus shows it.
func TestKeyboard(t *testing.T) {
	testkit.Long(t)
	b := browser.Start(t)
	p := open(t, b, serve(t, degraded(), nil), wide)
	focus := `document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || document.activeElement.id`
	var stops []string
	for range 24 {
		p.Key("Tab")
		stops = append(stops, p.Text(focus))
		if p.Text(`(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + ' ' + parseFloat(s.outlineWidth) })()`) != "solid 2" {
			t.Errorf("%s does not show that it has the focus", stops[len(stops)-1])
		}
	}
	got := strings.Join(stops, "|")
	for _, want := range []string{"Skip to the backends|Theme: auto|filter|", "troubled|Pool, backend|State|Requests/s|Errors/s|Latency|In flight|Backends of web|Change 10.0.1.11:8080 of web|Change 10.0.1.12:8080 of web"} {
		if !strings.Contains(got, want) {
			t.Errorf("stops: %s, want %s", got, want)
		}
	}
}

// The theme is that of the system until the user chooses one, which is remembered.
func TestTheme(t *testing.T) {
	testkit.Long(t)
	b := browser.Start(t)
	url := serve(t, nothing(), nil)
	p := open(t, b, url, browser.View{Width: 1000, Height: 700, Still: true})
	dark := func(want bool) {
		t.Helper()
		p.Until(fmt.Sprintf(`(getComputedStyle(document.documentElement).backgroundColor === 'rgb(16, 19, 22)') === %v`, want))
	}
	dark(false)
	p.Look(browser.View{Width: 1000, Height: 700, Dark: true, Still: true})
	dark(true)
	p.Eval(`document.getElementById('theme').click()`, nil)
	dark(false)
	p.Call("Page.navigate", map[string]any{"url": url}, nil) // is answered by the new document, which a reload is not
	p.Until(`document.getElementById('theme')?.innerText === 'Theme: light'`)
	dark(false)
	if n := p.Text(`String([...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length)`); n != "0" {
		t.Errorf("%s elements move though the user wants less motion", n)
	}
}

// Backends are sorted and filtered, by any words; a pool can be folded.
func TestSortAndFilter(t *testing.T) {
	testkit.Long(t)
	b := browser.Start(t)
	p := open(t, b, serve(t, degraded(), nil), wide)
	rows := `[...document.querySelectorAll('#rows .name, #rows .address')].map(e => e.innerText).join(' ')`
	is := func(want string) {
		t.Helper()
		p.Until(fmt.Sprintf("%s === %q", rows, want))
	}
	head := func(n int) {
		p.Eval(fmt.Sprintf(`document.querySelectorAll('#heads button')[%d].click()`, n), nil)
	}
	all := "web 10.0.1.11:8080 10.0.1.12:8080 10.0.1.13:8080 10.0.1.14:8080 checkout 10.0.2.11:8080 10.0.2.12:8080 10.0.2.13:8080 media 10.0.3.11:8080 10.0.3.12:8080"
	is(all)
	head(1) // by state: what is down first
	is(strings.Replace(all, "10.0.1.11:8080 10.0.1.12:8080 10.0.1.13:8080 10.0.1.14:8080", "10.0.1.12:8080 10.0.1.13:8080 10.0.1.14:8080 10.0.1.11:8080", 1))
	p.Until(`document.querySelector('[aria-sort]').innerText.startsWith('State') && document.querySelector('[aria-sort]').getAttribute('aria-sort') === 'ascending'`)
	head(3) // by errors: the most first
	is(strings.Replace(all, "10.0.1.11:8080 10.0.1.12:8080 10.0.1.13:8080 10.0.1.14:8080", "10.0.1.13:8080 10.0.1.11:8080 10.0.1.12:8080 10.0.1.14:8080", 1))
	p.Eval(`(() => { const o = document.getElementById('order'); o.value = 'file'; o.dispatchEvent(new Event('change')) })()`, nil)
	is(all)
	search := func(text string) {
		p.Eval(fmt.Sprintf(`(() => { const f = document.getElementById('filter'); f.value = %q; f.dispatchEvent(new Event('input')) })()`, text), nil)
	}
	search("DOWN web")
	is("web 10.0.1.12:8080")
	p.Until(`document.getElementById('shown').innerText === '1 of 9'`)
	search("nothing like it")
	p.Until(`document.getElementById('none').innerText === 'No backend fits the filter.'`)
	search("")
	p.Eval(`document.getElementById('troubled').click()`, nil)
	is("web 10.0.1.12:8080 10.0.1.13:8080 10.0.1.14:8080 checkout 10.0.2.11:8080 10.0.2.12:8080 10.0.2.13:8080")
	p.Eval(`document.getElementById('troubled').click(); document.querySelector('.fold').click()`, nil)
	is(strings.Replace(all, " 10.0.1.11:8080 10.0.1.12:8080 10.0.1.13:8080 10.0.1.14:8080", "", 1))
	p.Until(`document.querySelector('.fold').getAttribute('aria-expanded') === 'false'`)
}

// thousand returns an lb with 1,000 backends in ten pools.
func thousand() *fake {
	var pools []api.Pool
	for i := range 10 {
		pools = append(pools, poolOf(fmt.Sprintf("pool-%d", i), "least_conn", 10+i, 100))
	}
	return newFake(pools...)
}

// With 1,000 backends that all change every second, few rows are in the page, an update
// looks at the layout once, and it takes little of the browser's time. A row at the end is
// reached by scrolling.
func TestThousandBackends(t *testing.T) {
	testkit.Long(t)
	f := thousand()
	r := newRig(t, f)
	b := browser.Start(t)
	p := open(t, b, strings.TrimSuffix(r.url, "v1/events"), wide)
	p.Until(`document.querySelectorAll('#rows tr.backend').length > 10`)
	metrics := func() map[string]float64 {
		var m struct {
			Metrics []struct {
				Name  string
				Value float64
			}
		}
		p.Call("Performance.getMetrics", nil, &m)
		all := map[string]float64{}
		for _, v := range m.Metrics {
			all[v.Name] = v.Value
		}
		return all
	}
	// What the page itself does each second is not of an update.
	p.Eval(`(() => { const id = setInterval(() => {}, 1e6); for (let i = 1; i <= id; i++) clearInterval(i) })()`, nil)
	p.Call("Performance.enable", map[string]any{"timeDomain": "threadTicks"}, nil)
	const updates = 20
	update := func(i int) {
		f.change(func(s *api.Status) {
			for pi := range s.Pools {
				for bi := range s.Pools[pi].Backends {
					s.Pools[pi].Backends[bi].InFlight = uint64(1000 + i)
				}
			}
		})
		f.mu.Lock()
		f.fill(120)
		f.mu.Unlock()
		r.tick <- struct{}{}
		p.Until(fmt.Sprintf(`[...document.querySelectorAll('#rows .c-few span')].some(e => e.innerText === '%s')`, fmt.Sprintf("1,%03d", i)))
	}
	update(0)
	before := metrics()
	for i := range updates {
		update(i + 1)
	}
	after := metrics()
	of := func(name string) float64 { return (after[name] - before[name]) / updates }
	t.Logf("an update: %.1f ms of script, %.1f ms of layout, %.1f ms of style, %.1f ms in all; %.1f layouts",
		1e3*of("ScriptDuration"), 1e3*of("LayoutDuration"), 1e3*of("RecalcStyleDuration"), 1e3*of("TaskDuration"), of("LayoutCount"))
	if ms := 1e3 * (of("ScriptDuration") + of("LayoutDuration") + of("RecalcStyleDuration")); ms > 100 {
		t.Errorf("an update takes %.1f ms of the browser's time, want little", ms)
	}
	var rows int
	if p.Eval(`document.querySelectorAll('#rows tr').length`, &rows); rows > 60 {
		t.Errorf("%d rows are in the page", rows)
	}
	if got := p.Text(`document.getElementById('table').getAttribute('aria-rowcount')`); got != "1011" {
		t.Errorf("aria-rowcount is %s, want 1011", got)
	}
	p.Eval(`document.getElementById('table').scrollIntoView({block: 'end'})`, nil)
	p.Until(`[...document.querySelectorAll('#rows .address')].at(-1).innerText === '10.0.19.110:8080'`)
	p.Until(`[...document.querySelectorAll('#rows tr.backend')].at(-1).getAttribute('aria-rowindex') === '1011'`)
	p.Eval(`(() => { const f = document.getElementById('filter'); f.value = '10.0.14.77'; f.dispatchEvent(new Event('input')) })()`, nil)
	p.Until(`document.querySelectorAll('#rows tr.backend').length === 1`)
}

// The policy names what the page is made of, and nothing else runs.
func TestPage(t *testing.T) {
	url := serve(t, nothing(), nil)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("the policy is %s", policy)
	}
	if h := resp.Header; h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-cache" || h.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v", h)
	}
	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("If-None-Match", resp.Header.Get("ETag"))
	again, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	again.Body.Close()
	if again.StatusCode != http.StatusNotModified || resp.Header.Get("ETag") == "" {
		t.Errorf("the same page: %s", again.Status)
	}
}
