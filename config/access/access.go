// Package access has the keys about clients that may ask, and how often: networks and rate
// limits. Like config, it opens nothing.
package access

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lb/config/match"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// Networks returns a key whose value is a list of networks; an address is a network of one.
func Networks[T any](name string, field func(*T) *[]netip.Prefix) schema.Key[T] {
	return schema.Special(name, func(r *schema.Reader, t *T, path string, v any) {
		const hint = `write an address or a network, such as "10.0.0.0/8"`
		list := make([]netip.Prefix, 0)
		schema.ReadTexts(r, path, v, hint, func(at, s string) {
			p, f := value.ParseNetwork(s)
			if f != nil {
				r.RefuseValue(at, f)
				return
			}
			list = append(list, p)
		})
		*field(t) = list
	}, schema.Shown(func(t *T) string { return value.ListText(*field(t)) }))
}

// What a rate limit counts by. A header and a cookie have a name.
const (
	KeyClientIP = "client_ip" // IPv6 by /64
	KeyHeader   = "header"
	KeyCookie   = "cookie"
	KeyRoute    = "route" // all requests of a route together
)

// RateLimit is how many requests of one key are let through.
type RateLimit struct {
	Name    string
	Key     string           // KeyClientIP, KeyHeader, KeyCookie or KeyRoute
	KeyName string           // of the header, in lower case, or of the cookie; else ""
	Rate    Rate             // at which a bucket fills
	Burst   int              // size of a bucket, at least 1
	Match   match.Conditions // of the requests that it counts
	DryRun  bool             // it counts, and refuses nothing
	Store   string           // URL of what several machines share, "redis://..."; "": this machine alone
}

// Rate is a number of requests in a time.
type Rate struct {
	Count int           // at least 1
	Per   time.Duration // a second, a minute or an hour
}

// String returns r as the file has it: "100/s".
func (r Rate) String() string {
	for _, u := range rateUnits {
		if u.per == r.Per {
			return strconv.Itoa(r.Count) + "/" + u.word
		}
	}
	return fmt.Sprintf("%d/%v", r.Count, r.Per)
}

// Interval returns the time in which one request is earned.
func (r Rate) Interval() time.Duration { return r.Per / time.Duration(r.Count) }

// Fill returns how a bucket fills, in nanoseconds: from one token to the next, and how much
// may be missing from it, which is all of it. With a store that is several times as much: each
// machine gives as many tokens as it has before it hears of the others.
func (l *RateLimit) Fill() (every, most int64) {
	every = int64(l.Rate.Interval())
	if most = every * int64(l.Burst); l.Store != "" {
		most = min(most, math.MaxInt64/4/storedMost) * storedMost
	}
	return every, most
}

// storedMost is how many machines may give all their tokens at the same moment before what
// they give is counted no longer.
const storedMost = 16

var rateUnits = []struct {
	word string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}}

// rateMax is the most requests in a second, a minute or an hour; burstMax the largest bucket.
const (
	rateMax  = 1_000_000
	burstMax = 1_000_000
)

// RateLimitKeys are the keys of [[rate_limits]].
var RateLimitKeys = []schema.Key[RateLimit]{
	schema.Text("name", checkName, func(l *RateLimit) *string { return &l.Name }),
	schema.Special("key", readKey, schema.Shown(func(l *RateLimit) string { return value.QuoteText(l.KeyText()) })),
	schema.Single("rate", func(l *RateLimit) *Rate { return &l.Rate }, parseRate, func(r Rate) string { return value.QuoteText(r.String()) }),
	schema.Number("burst", 1, burstMax, func(l *RateLimit) *int { return &l.Burst }),
	schema.Table("match", match.Keys, func(l *RateLimit) *match.Conditions { return &l.Match }),
	schema.Flag("dry_run", func(l *RateLimit) *bool { return &l.DryRun }),
	schema.URL("store", checkStore, func(l *RateLimit) *string { return &l.Store }),
}

// KeyText returns the key as the file has it.
func (l *RateLimit) KeyText() string {
	if l.KeyName == "" {
		return l.Key
	}
	return l.Key + ":" + l.KeyName
}

func checkName(s string) *value.Flaw {
	if s == "" {
		return value.Wrong("is empty", "write a name")
	}
	for i := range len(s) {
		if c := s[i]; !value.NameByte(c) && c != '.' {
			return value.Wrong(fmt.Sprintf("%q is no name for a limit", s), "use letters, digits, hyphens, underscores and dots")
		}
	}
	return nil
}

// readKey reads what a limit counts by: "client_ip", "header:x-api-key".
func readKey(r *schema.Reader, l *RateLimit, path string, v any) {
	s, f := value.ParseText(v)
	if f != nil {
		r.RefuseValue(path, f)
		return
	}
	word, name, named := strings.Cut(s, ":")
	switch {
	case !named && (word == KeyClientIP || word == KeyRoute):
	case named && (word == KeyHeader || word == KeyCookie):
		f = value.CheckToken(name)
	default:
		f = value.Wrong(fmt.Sprintf("there is no key %q", s), `use "client_ip", "route", "header:NAME" or "cookie:NAME"`)
	}
	if f != nil {
		r.RefuseValue(path, f)
		return
	}
	if word == KeyHeader {
		name = strings.ToLower(name)
	}
	l.Key, l.KeyName = word, name
}

// parseRate reads "100/s", "6000/m" or "1000/h".
func parseRate(v any) (Rate, *value.Flaw) {
	const hint = `write one such as "100/s", "20/m" or "1000/h"`
	s, ok := v.(string)
	if !ok {
		return Rate{}, value.WrongKind(v, "text", hint)
	}
	digits, unit, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(digits)
	i := slices.IndexFunc(rateUnits, func(u struct {
		word string
		per  time.Duration
	}) bool {
		return u.word == unit
	})
	switch {
	case err != nil || i < 0:
		return Rate{}, value.Wrong(fmt.Sprintf("%q is no rate", s), hint)
	case n < 1 || n > rateMax:
		return Rate{}, value.Wrong(fmt.Sprintf("%q is out of range", s), fmt.Sprintf("use 1 to %d in a second, a minute or an hour", rateMax))
	}
	return Rate{n, rateUnits[i].per}, nil
}

func checkStore(s string) *value.Flaw {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "redis" && u.Scheme != "rediss" {
		return value.NoURL(s, `write one such as "redis://10.0.0.9:6379/0", or "" for this machine alone`)
	}
	if p := u.Port(); p != "" {
		if flaw := value.CheckPort(p, 1); flaw != nil {
			return flaw
		}
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 31); err != nil {
			return value.Wrong(fmt.Sprintf("%q is no database", db), `write its number, such as "redis://10.0.0.9:6379/0"`)
		}
	}
	return nil
}

// ReadRateLimits reads [[rate_limits]].
func ReadRateLimits(r *schema.Reader, path string, v any) (limits []RateLimit) {
	list, ok := schema.ReadTables(r, path, v, "limit")
	if !ok {
		return nil
	}
	first := map[string]int{} // line by name
	for i, v := range list {
		at, before := tomlfile.Element(path, i), len(r.Errs)
		l := RateLimit{Key: KeyClientIP, Match: match.Conditions{Path: "/"}}
		schema.ReadTable(r, &l, at, v, RateLimitKeys)
		l.Match.Host = strings.ToLower(l.Match.Host)
		if len(r.Errs) == before {
			check(r, &l, at, first)
		}
		limits = append(limits, l)
	}
	return limits
}

// check checks the limit at path; first has the lines of those above it.
func check(r *schema.Reader, l *RateLimit, path string, first map[string]int) {
	line, _ := r.File.Value(path)
	switch n, twice := first[l.Name]; {
	case l.Name == "":
		r.RefuseValue(path, value.Wrong("has no name", `add name = "api" or another, for logs and metrics`))
	case twice:
		r.RefuseValue(tomlfile.Under(path, "name"), value.Wrong(fmt.Sprintf("there is a limit %q already, in line %d", l.Name, n), "give it another name"))
	case l.Rate.Count == 0:
		r.RefuseValue(path, value.Wrong("has no rate", `add rate = "100/s" or another`))
	}
	first[l.Name] = line
	if l.Burst == 0 {
		l.Burst = max(1, l.Rate.Count)
	}
}

// DiffRateLimits compares the limits of the same name.
func DiffRateLimits(d *schema.Differ, old, new []RateLimit, path string) {
	if schema.ShowList(d, path, new, RateLimitKeys) {
		return
	}
	at := func(list []RateLimit, l RateLimit) int {
		return slices.IndexFunc(list, func(other RateLimit) bool { return other.Name == l.Name })
	}
	for _, l := range new {
		i := at(old, l)
		if i < 0 {
			d.Whole(schema.Added, schema.OfRateLimit, l.Name, fmt.Sprintf(" (%s by %s)", l.Rate, l.KeyText()))
			continue
		}
		in := d.Inside(schema.OfRateLimit, l.Name)
		schema.DiffTable(in, &old[i], &l, "", RateLimitKeys)
		d.Add(in)
	}
	for _, l := range old {
		if at(new, l) < 0 {
			d.Whole(schema.Removed, schema.OfRateLimit, l.Name, "")
		}
	}
}
