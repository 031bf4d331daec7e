package hints

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

func isAny(s string, words ...string) bool { return slices.Contains(words, s) }

// place returns how to write v, if it is an address or a URL, as host and port, or other.
func place(v any, other string) string {
	s, ok := v.(string)
	if !ok {
		return other
	}
	if path, unix := strings.CutPrefix(s, "unix:"); unix {
		return fmt.Sprintf("write socket = %q", path)
	}
	scheme, rest, url := strings.Cut(s, "://")
	if !url {
		rest = s
	}
	rest, _, _ = strings.Cut(rest, "/")
	if secure := url && scheme == "https"; secure {
		return securePlace(rest, other)
	}
	if address, words, _ := strings.Cut(rest, " "); strings.Contains(words, "ssl") || strings.Contains(words, "tls") {
		return "write [[listeners]], and below it " + strings.TrimPrefix(listenPlace(address), "write ") + " and tls = true"
	}
	host, port, err := net.SplitHostPort(rest)
	if _, numeric := strconv.ParseUint(port, 10, 16); err != nil || numeric != nil {
		if url && rest != "" && !strings.ContainsAny(rest, ":@") {
			return fmt.Sprintf("write host = %q and port = 80", rest)
		}
		return other
	}
	if host == "" || host == "*" {
		return fmt.Sprintf("write port = %s", port)
	}
	return fmt.Sprintf("write host = %q and port = %s", host, port)
}

// securePlace is place for what follows https:// in a URL of a backend.
func securePlace(at, other string) string {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		host, port = strings.Trim(at, "[]"), "443"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.Contains(host, "@") {
		return other
	}
	return fmt.Sprintf("write host = %q, port = %s and tls = true", host, port)
}

// listenPlace returns how to write a port or an address as that of a listener.
func listenPlace(v any) string {
	switch v := v.(type) {
	case int64:
		return fmt.Sprintf(`write address = ":%d"`, v)
	case string:
		address, words, _ := strings.Cut(strings.TrimPrefix(v, "*"), " ")
		if _, err := strconv.ParseUint(address, 10, 16); err == nil {
			address = ":" + address
		}
		if strings.HasPrefix(address, "/") {
			return fmt.Sprintf("write address = %q", "unix:"+address)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			break
		}
		hint := fmt.Sprintf("write address = %q", address)
		if strings.Contains(words, "ssl") || strings.Contains(words, "tls") {
			hint += " and tls = true"
		}
		return hint
	}
	return anAddress
}

// adminPlace returns how to write a host or a port as an address of [admin].
func adminPlace(name string, v any) string {
	address := "127.0.0.1:9090"
	switch v := v.(type) {
	case int64:
		address = fmt.Sprintf("127.0.0.1:%d", v)
	case string:
		if _, _, err := net.SplitHostPort(v); err == nil {
			address = v
		} else if name == "host" {
			address = net.JoinHostPort(v, "9090")
		}
	}
	return fmt.Sprintf("write address = %q", address)
}

// Value returns what to do about v, which the key does not accept, or "" if it does not
// know better than the check of the key. key is without the numbers of elements:
// "pools.sticky".
func Value(key string, v any) string {
	name := key[strings.LastIndexByte(key, '.')+1:]
	if s, ok := v.(string); ok && isAny(strings.ToLower(s), "off", "none", "unlimited", "infinite", "infinity", "-1", "no", "false", "disabled") {
		v = false
	}
	if n, ok := v.(int64); ok && n < 0 {
		v = false
	}
	switch v := v.(type) {
	case bool:
		return forBool(key, name, v)
	case []any:
		return forList(key, name, v)
	case string:
		return forText(key, name, v)
	case int64:
		return forNumber(key, name, v)
	}
	return ""
}

// forBool is Value for true, and for false and other words for nothing.
func forBool(key, name string, on bool) string {
	type hints struct{ on, off string }
	h := map[string]hints{
		"sticky":          {`write the cookie's name, such as sticky = "lb_backend"`, `write "" for none`},
		"sticky_key":      {`write 16 bytes at least, or "" for a random one`, `write "" for a random one`},
		"via":             {`write "lb", or another name`, `write "" for no Via`},
		"pid_file":        {`write a path, such as "/run/lb.pid"`, `write "" for none`},
		"workers":         {"0 is one per CPU", "0 is one per CPU"},
		"body_bytes":      {"0 is unlimited", "0 is unlimited"},
		"max_connections": {"0 is unlimited", "0 is unlimited"},
		"connections":     {"0 is what the descriptor limit allows", "0 is what the descriptor limit allows"},
		"attempts":        {"write how many, such as 2", "0 is none"},
		"budget_min":      {"write how many, such as 3", "0 is none"},
		"balance_factor":  {"write a number, such as 1.25", "0 is no bound"},
		"slow_start":      {`write how long, such as "30s"`, `write "0s" for none`},
		"address":         {`write "127.0.0.1:9090"`, `write "" for off`},
		"health":          {"write [health] on a line of its own", "leave it out: there are no checks without [health]"},
		"eject":           {"write eject = { enabled = true }", "write eject = { enabled = false }"},
		"retry":           {"write [retry] on a line of its own", "write retry = { attempts = 0 }"},
		"admin":           {"write [admin] on a line of its own", `write admin = { address = "", socket = "off" }`},
		"tls":             {aCert, "leave it out: there is no TLS without a certificate"},
		"backend_tls":     {"write tls = true in [[backends]]", "leave it out: there is no TLS without tls = true in [[backends]]"},
		"acme":            {"write [tls.acme], and below it names", "leave it out: there is none without names"},
		"names":           {`write a list, such as ["example.com"]`, "write [] for none"},
		"client_auth":     {`write "require" or "request"`, `write "none"`},
		"hsts":            {`write how long, such as "8760h"`, `write "0s" for none`},
		"email":           {`write one such as "ops@example.com"`, `write "" for none`},
		"http2":           {"leave it out: HTTP/2 is on without it", "write http2 = { enabled = false }"},
		"streams":         {"write how many, such as 128", "write enabled = false for no HTTP/2"},
		"trusted_proxies": {`write a list, such as ["10.0.0.0/8"]`, "write [] for none"},
	}[name]
	switch {
	case key == "pools.tls":
		h = hints{"write tls = true in [[pools.backends]]", "leave it out: there is no TLS without tls = true in [[pools.backends]]"}
	case key == "listeners.address":
		h = hints{}
	case key == "admin.socket":
		h = hints{"leave it out for the usual place", `write "off"`}
	}
	if on {
		return h.on
	}
	return h.off
}

// forList is Value for a list where one value is wanted.
func forList(key, name string, list []any) string {
	table := strings.TrimSuffix(strings.TrimSuffix(key, name), ".")
	if len(list) == 1 {
		switch v := list[0].(type) {
		case string:
			return fmt.Sprintf("write %q, without brackets", v)
		case int64:
			return fmt.Sprintf("write %d, without brackets", v)
		}
	}
	switch {
	case isAny(key, "host", "port"):
		return `lb listens on one address: "::" takes IPv6 and IPv4`
	case isAny(key, "routes.host", "routes.path", "backends.host", "backends.port", "backends.socket", "pools.backends.host", "pools.backends.port"):
		return fmt.Sprintf("write a [[%s]] for each %s", table, name)
	case key == "routes.pool":
		return "write one name: the backends of one pool share the requests"
	}
	return ""
}

// forText is Value for a text where something else is wanted.
func forText(key, name, s string) string {
	switch {
	case name == "workers":
		return "0 is one per CPU"
	case isAny(name, "port"):
		if port := s[strings.LastIndexByte(s, ':')+1:]; port != s {
			if _, err := strconv.ParseUint(port, 10, 16); err == nil {
				return place(s, "write "+port)
			}
		}
	case isAny(name, "trusted_proxies", "methods", "on"):
		return fmt.Sprintf("write [%q]", s)
	case key == "listeners":
		return strings.NewReplacer("write ", "write { ", " and ", ", ").Replace(strings.TrimSuffix(listenPlace(s), ", or another")) + " }"
	case key == "tls.acme.names":
		return fmt.Sprintf("write [%q]", s)
	case isAny(key, "backend_tls", "pools.tls") && strings.HasPrefix(s, "http"):
		return "write server_name or another key in it"
	case key == "tls.client_auth" && isAny(s, "optional", "optional_no_ca", "want"):
		return `write "request"`
	case key == "tls.client_auth" && isAny(s, "on", "required", "mandatory", "verify", "require_and_verify"):
		return `write "require"`
	case name == "protocol":
		return protocol(s)
	case key == "tls.min_version":
		return version(s)
	case name == "health" && strings.HasPrefix(s, "/"):
		return fmt.Sprintf("write health = { path = %q }", s)
	case key == "hash" || key == "pools.hash":
		return fmt.Sprintf("write hash = { key = %q }", s)
	case key == "routes.redirect":
		return fmt.Sprintf("write redirect = { to = %q }", s)
	case key == "admin":
		return fmt.Sprintf("write admin = { address = %q }", s)
	case key == "backends" || key == "pools.backends":
		return inline(s)
	}
	return ""
}

// version returns how to write s, a version of TLS as others have it.
func version(s string) string {
	number := strings.TrimLeft(strings.ToLower(s), "tlsv _-")
	switch {
	case strings.HasPrefix(number, "1.3"), strings.HasPrefix(number, "1_3"), number == "13":
		return `write "1.3"`
	case strings.HasPrefix(number, "1.2"), strings.HasPrefix(number, "1_2"), number == "12":
		return `write "1.2"`
	}
	return `write "1.2" or "1.3": what is older is not spoken`
}

// protocol returns how to write s, a protocol of backends as others have it, or "".
func protocol(s string) string {
	switch strings.ToLower(strings.NewReplacer("/", "", ".", "", " ", "").Replace(s)) {
	case "http", "http11", "h1", "http10", "11":
		return `write "http1"`
	case "http2", "grpc", "grpcs", "2", "20", "http20":
		return `write "h2c", or "h2" for backends with TLS`
	case "https", "tls":
		return `write "http1", and tls = true in the backends`
	case "alpn", "any":
		return `write "auto"`
	}
	return ""
}

// inline returns how to write a backend that stands in a list as a text.
func inline(s string) string {
	text, ok := strings.CutPrefix(place(s, ""), "write ")
	if !ok {
		return ""
	}
	return "write { " + strings.Replace(text, " and ", ", ", 1) + " }"
}

// forNumber is Value for a number where something else is wanted.
func forNumber(key, name string, n int64) string {
	switch {
	case key == "admin":
		return fmt.Sprintf(`write admin = { address = "127.0.0.1:%d" }`, n)
	case key == "admin.address":
		return fmt.Sprintf(`write "127.0.0.1:%d"`, n)
	case key == "retry":
		return fmt.Sprintf("write retry = { attempts = %d }", n)
	case key == "listeners.address" || key == "listeners":
		return strings.Replace(listenPlace(n), "address = ", "", 1)
	case isAny(name, "slow_start", "hsts") && n == 0:
		return `write "0s" for none`
	case name == "on_status":
		return fmt.Sprintf("write [%d]", n)
	}
	return ""
}
