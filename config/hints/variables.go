package hints

import (
	"regexp"
	"strings"
)

// variable matches what other proxies, and templates, fill in. Braces alone are no
// variables: values such as that of Report-To are JSON.
var variable = regexp.MustCompile(`\$\{\w+\}|\$[a-z]\w*|\{\{?\s*[.$>]?[A-Za-z][\w.>-]*\s*\}?\}|%\[[^\]]*\]?|%\{[^}]*\}?`)

// variables are the names that are known, or how they begin, and where their value is
// found; "" for nowhere.
var variables = []struct{ name, field string }{
	{"client_ip", "X-Forwarded-For"}, {"client", "X-Forwarded-For"}, {"clientip", "X-Forwarded-For"}, {"ip", "X-Forwarded-For"},
	{"remote", "X-Forwarded-For"}, {"real_ip", "X-Forwarded-For"}, {"realip", "X-Forwarded-For"}, {"src", "X-Forwarded-For"},
	{"proxy_add_x_forwarded_for", "X-Forwarded-For"}, {"binary_remote", "X-Forwarded-For"}, {"http.request.remote", "X-Forwarded-For"},
	{"host", "X-Forwarded-Host"}, {"http_host", "X-Forwarded-Host"}, {"http.request.host", "X-Forwarded-Host"},
	{"scheme", "X-Forwarded-Proto"}, {"proto", "X-Forwarded-Proto"}, {"http.request.scheme", "X-Forwarded-Proto"},
	{"uri", ""}, {"path", ""}, {"method", ""}, {"query", ""}, {"port", ""}, {"args", ""}, {"is_args", ""}, {"request", ""}, {"req", ""},
	{"http", ""}, {"header", ""}, {"server", ""}, {"hostname", ""}, {"status", ""}, {"upstream", ""}, {"backend", ""}, {"pool", ""},
	{"time", ""}, {"date", ""}, {"msec", ""}, {"cookie", ""}, {"arg", ""}, {"ssl", ""}, {"tls", ""}, {"env", ""}, {"system", ""}, {"user_agent", ""},
	{"connection", ""}, {"document", ""}, {"proxy", ""}, {"body_bytes", ""}, {"bytes", ""}, {"content", ""}, {"uuid", ""}, {"request_id", ""},
}

// Variable returns the first word in the value of a field that was written to be filled
// in, and what to do about it. word is "" if there is none.
func Variable(s string) (word, hint string) {
	for _, word := range variable.FindAllString(s, -1) {
		name := strings.ToLower(strings.Trim(word, "${} .>"))
		known := strings.HasPrefix(word, "%") || strings.HasPrefix(word, "${")
		for _, v := range variables {
			rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "%["), v.name)
			if !ok || rest != "" && !strings.ContainsAny(rest[:1], "_.>-](") {
				continue
			}
			if known = true; v.field != "" {
				return word, "leave it out: lb sends " + v.field
			}
		}
		if known {
			return word, "write a fixed text"
		}
	}
	return "", ""
}
