package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind returns the kind of a decoded value, for a sentence.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64:
		return "a number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	}
	return "a list"
}

// hintNumber returns how to write v as a number: without quotes, if that is all.
func hintNumber(v any) string {
	if s, ok := v.(string); ok {
		if _, err := strconv.Atoi(s); err == nil {
			return fmt.Sprintf("write %s without quotes", s)
		}
	}
	return "write digits only, without quotes"
}

// hintFraction is hintNumber for numbers that need not be whole, and for percentages.
func hintFraction(v any) string {
	s, _ := v.(string)
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	switch {
	case err != nil:
		return "write digits, and a dot if need be, without quotes"
	case percent:
		n = math.Round(n*1e4) / 1e6
	}
	return fmt.Sprintf("write %v without quotes", n)
}

// hintText returns how to write v as text.
func hintText(v any) string {
	switch v.(type) {
	case int64, float64, bool:
		return fmt.Sprintf(`write "%v"`, v)
	}
	return "write it in quotes"
}

func outside(n int64, low, high int) *flaw {
	return wrong(fmt.Sprintf("%d is out of range", n), fmt.Sprintf("use %d to %d", low, high))
}

// oneOf accepts the words in allowed.
func oneOf(s, what string, allowed ...string) *flaw {
	if slices.Contains(allowed, s) {
		return nil
	}
	quoted := make([]string, len(allowed))
	for i, a := range allowed {
		quoted[i] = strconv.Quote(a)
	}
	return wrong(fmt.Sprintf("there is no %s %q", what, s), "use "+strings.Join(quoted, ", "))
}

func checkMode(s string) *flaw { return oneOf(s, "mode", string(MP), string(MT)) }

func checkStrategy(s string) *flaw {
	return oneOf(s, "strategy", RoundRobin, Random, LeastConn, P2C, LeastTime, HashOnKey)
}

func checkLogLevel(s string) *flaw { return oneOf(s, "log level", "debug", "info", "warn", "error") }

// checkVia accepts a received-by of RFC 9110 section 7.6.3: a pseudonym, which is a
// token, or a host with a port.
func checkVia(s string) *flaw {
	for i := range len(s) {
		if c := s[i]; !bareByte(c) && strings.IndexByte("!#$%&'*+.^`|~:[]", c) < 0 {
			return wrong(fmt.Sprintf("%q cannot stand in a Via field", s), `use letters, digits and hyphens, or "" for no Via`)
		}
	}
	return nil
}

// checkPath accepts any path, and "" for none.
func checkPath(s string) *flaw {
	if strings.IndexByte(s, 0) >= 0 {
		return wrong("has a zero byte in it", "write a path")
	}
	return nil
}

// checkListenHost accepts every name and address. Whether this machine has it, the
// system says when lb starts.
func checkListenHost(s string) *flaw {
	if s == "" {
		return wrong("is empty", `use "0.0.0.0" for every IPv4 address, "::" for every address`)
	}
	return checkShape(s)
}

// checkHost accepts a name or an IP address of a backend.
func checkHost(s string) *flaw {
	if s == "" {
		return wrong("is empty", "write a name or an IP address")
	}
	if f := checkShape(s); f != nil {
		return f
	}
	_, err := netip.ParseAddr(s)
	last := s[strings.LastIndexByte(s, '.')+1:]
	if _, digits := strconv.Atoi(last); err != nil && digits == nil {
		return wrong(fmt.Sprintf("%q is not an IP address", s), "write four numbers from 0 to 255, or a name")
	}
	return nil
}

// checkShape accepts names, IPv4 and IPv6 addresses, without port or brackets.
func checkShape(s string) *flaw {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		return wrong("has brackets", fmt.Sprintf("write %q", strings.TrimSuffix(inner, "]")))
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return wrong("has a port in it", fmt.Sprintf("write %q, and %s as the port", host, port))
	}
	for i := range len(s) {
		if c := s[i]; !bareByte(c) && c != '.' {
			return wrong(fmt.Sprintf("%q is neither a name nor an IP address", s), "write one of them")
		}
	}
	return nil
}

func checkSocket(s string) *flaw {
	switch {
	case s == "":
		return wrong("is empty", "write the path of a unix socket")
	case len(s) > SocketPathMax:
		return wrong(fmt.Sprintf("is %d bytes long", len(s)), fmt.Sprintf("use a path of at most %d bytes", SocketPathMax))
	}
	return checkPath(s)
}

// checkAdminSocket accepts a path, "" and SocketOff.
func checkAdminSocket(s string) *flaw {
	if s == "" || s == SocketOff {
		return nil
	}
	return checkSocket(s)
}

// stickyKeyMin is the least length in bytes of a key that cannot be guessed.
const stickyKeyMin = 16

// checkStickyKey accepts long texts, and "" for none. Its flaw does not repeat the
// key, which is a secret.
func checkStickyKey(s string) *flaw {
	if s != "" && len(s) < stickyKeyMin {
		return wrong(fmt.Sprintf("is %d bytes long", len(s)),
			fmt.Sprintf(`use at least %d, such as what "openssl rand -hex 16" prints`, stickyKeyMin))
	}
	return nil
}

// checkAddress accepts host:port, and "" for off.
func checkAddress(s string) *flaw {
	if s == "" {
		return nil
	}
	const hint = `write host:port, such as "127.0.0.1:9090", or "" for off`
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return wrong(fmt.Sprintf("%q is not host:port", s), hint)
	}
	if f := checkPort(port, 0); f != nil {
		return f
	}
	if host == "" {
		return nil
	}
	return checkShape(host)
}

// checkPort accepts a decimal port of at least low.
func checkPort(s string, low int) *flaw {
	if n, err := strconv.ParseUint(s, 10, 16); err != nil || int(n) < low {
		return wrong(fmt.Sprintf("%q is not a port", s), fmt.Sprintf("use %d to %d", low, portMax))
	}
	return nil
}

// parseNetwork reads a network in CIDR form, or an address. IPv4 inside IPv6 becomes
// plain IPv4, the form in which lb has the addresses of its clients.
func parseNetwork(s string) (netip.Prefix, *flaw) {
	var p netip.Prefix
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		p = netip.PrefixFrom(a, a.BitLen())
	} else if p, err = netip.ParsePrefix(s); err != nil {
		return p, wrong(fmt.Sprintf("%q is neither an address nor a network", s), `write one such as "10.0.0.0/8"`)
	}
	if p != p.Masked() {
		return p, wrong(fmt.Sprintf("%q has bits set beyond its length", s), fmt.Sprintf("write %q", p.Masked()))
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

// durationMax is short enough that an instant plus a timeout cannot overflow.
const durationMax = 366 * 24 * time.Hour

// parseDuration reads a length of time in Go's form: "30s", "1m30s", "1h".
func parseDuration(v any) (time.Duration, *flaw) {
	s, ok := v.(string)
	if !ok {
		hint := `write "30s"`
		if n, isInt := v.(int64); isInt && n > 0 {
			hint = fmt.Sprintf(`write "%ds"`, n)
		}
		return 0, wrong(fmt.Sprintf("%v has no unit", v), hint)
	}
	d, err := time.ParseDuration(s)
	if strings.Trim(s, "0123456789.") == "" && s != "" && err != nil {
		return 0, wrong(fmt.Sprintf("%q has no unit", s), fmt.Sprintf(`write "%ss"`, s))
	}
	switch {
	case err != nil:
		return 0, wrong(fmt.Sprintf("%q is not a length of time", s), `write a number and ms, s, m or h, such as "30s"`)
	case d <= 0:
		return 0, wrong(fmt.Sprintf("%q is not above zero", s), "no timeout can be turned off; use a long one")
	case d > durationMax:
		return 0, wrong(fmt.Sprintf("%q is more than a year", s), `use at most "8784h"`)
	}
	return d, nil
}

// units are the units of sizes, larger ones first for sizeText.
var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// parseSize reads a number of bytes: 65536, "65536", "64KiB" or "64 KiB".
func parseSize(v any) (int64, *flaw) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	s, ok := v.(string)
	if !ok {
		return 0, wrong("must be a size, not "+kind(v), `write bytes, or text such as "64KiB"`)
	}
	digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseInt(strings.TrimRight(digits, " "), 10, 64)
	if err != nil {
		return 0, wrong(fmt.Sprintf("%q is not a size", s), `write bytes, or a number and KiB, MiB or GiB, such as "64KiB"`)
	}
	unit := s[len(digits):]
	for _, u := range units {
		if unit != u.name && (unit != "" || u.bytes != 1) {
			continue
		}
		if n > math.MaxInt64/u.bytes || n < math.MinInt64/u.bytes {
			return 0, wrong(fmt.Sprintf("%q is out of range", s), "use a smaller size")
		}
		return n * u.bytes, nil
	}
	return 0, wrong(fmt.Sprintf("there is no unit %q", unit), fmt.Sprintf(`write "%dKiB", or MiB or GiB`, n))
}

// sizeText writes n bytes in the largest unit that keeps it whole.
func sizeText(n int64) string {
	for _, u := range units {
		if n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}
