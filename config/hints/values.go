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
	} else if scheme == "https" {
		return "lb speaks no TLS to backends yet: write host and port of one that speaks http"
	}
	rest, _, _ = strings.Cut(rest, "/")
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
		"trusted_proxies": {`write a list, such as ["10.0.0.0/8"]`, "write [] for none"},
	}[name]
	if key == "admin.socket" {
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
	case name == "slow_start" && n == 0:
		return `write "0s" for none`
	case name == "on_status":
		return fmt.Sprintf("write [%d]", n)
	}
	return ""
}
