package explain

import (
	"fmt"
	"slices"
	"strings"

	"lb/admin/api"
	"lb/config"
	"lb/httpparse"
	"lb/internal/redact"
	"lb/loop/tick"
	"lb/proxy/clients"
	"lb/proxy/front"
	"lb/proxy/grpc"
	"lb/proxy/ratelimit"
	"lb/proxy/record"
	"lb/proxy/rewrite"
	"lb/proxy/route"
	"lb/upstream"
)

// Facts are what a proxy has decided about a request. The proxy fills them on its loop;
// nothing in them changes afterwards but the states in Peek, so that Answer can be called
// anywhere.
type Facts struct {
	Asked  *Asked
	Config *config.Config
	Number uint64 // of the configuration
	Slot   int    // of the loop
	Now    tick.Instant

	Peer    front.Peer
	Request httpparse.Request
	Refused httpparse.Reason // why the parser has refused the head, or NoReason
	Came    rewrite.Request  // the request before its head was composed; not valid if it was refused
	Call    grpc.Call

	Reply clients.Answer // lb's own, if its Code is set
	Fault record.Fault   // why

	Router *route.Router // nil without routes
	Route  int           // index of the route, or route.None
	Pool   int           // index of the pool, or -1

	Rates []ratelimit.State // none if it was answered before they were asked

	Peek   upstream.Peeked
	Ahead  int  // how many requests wait for room at the pool in this loop
	Queued bool // it would wait, too
	Cookie bool // it has the pool's sticky cookie

	Head []byte // for the backend
}

// Answer puts the facts into words.
func (f *Facts) Answer() api.Explained {
	out := api.Explained{
		Outcome: api.OwnAnswer,
		Config:  f.Number,
		Loop:    f.Slot,
		Listener: api.ExplainedListener{
			Address: f.Asked.Listener.Address,
			Role:    roleOf(f.Asked.Listener),
		},
		Routes: []api.ExplainedRoute{},
		Notes:  slices.Clone(f.Asked.Notes),
	}
	line, _, _ := strings.Cut(string(f.Asked.Head), "\r\n")
	out.Method, out.Target, _ = strings.Cut(strings.TrimSuffix(line, " HTTP/1.1"), " ")
	out.Target = redact.URL(out.Target)
	out.Client = api.ExplainedClient{Peer: string(f.Peer.Address()), Address: string(f.Peer.Address()), Trusted: f.Peer.Trusted, Scheme: f.Peer.Scheme()}
	if f.Refused != httpparse.NoReason {
		out.How = "the head is refused: " + f.Refused.String()
		out.Answer = f.answer()
		return out
	}
	f.request(&out)
	f.routes(&out)
	f.rates(&out)
	if f.Pool >= 0 {
		f.pool(&out)
	}
	switch {
	case f.Reply.Code != 0:
		out.Answer, out.How = f.answer(), f.whyAnswer()
	case f.Queued:
		out.Outcome, out.How = api.ToQueue, f.whyQueued()
	}
	if f.Head != nil && f.Reply.Code == 0 {
		f.head(&out)
	}
	f.settings(&out)
	return out
}

func roleOf(l config.Listener) string {
	switch {
	case l.TLS:
		return api.RoleHTTPS
	case l.RedirectHTTPS:
		return api.RoleRedirect
	}
	return api.RoleHTTP
}

// request says what the request is.
func (f *Facts) request(out *api.Explained) {
	r := &f.Came
	out.Host = string(r.Message.Authority.Of(r.Text))
	out.Client.Address = string(r.Origin())
	out.Client.Scheme = map[bool]string{false: "http", true: "https"}[r.Secure()]
	switch seen := r.Message.Seen; {
	case !r.Peer.Trusted && (seen.Has(httpparse.XForwardedFor) || seen.Has(httpparse.XForwardedProto) || seen.Has(httpparse.XForwardedHost) || seen.Has(httpparse.Forwarded)):
		out.Notes = append(out.Notes, fmt.Sprintf("what %s says in X-Forwarded-* and Forwarded is not believed: it is not in trusted_proxies", out.Client.Peer))
	case r.Peer.Trusted && out.Client.Address != out.Client.Peer:
		out.Notes = append(out.Notes, fmt.Sprintf("%s is in trusted_proxies, and says that the request began at %s", out.Client.Peer, out.Client.Address))
	}
}

// answer returns lb's own answer.
func (f *Facts) answer() *api.ExplainedAnswer {
	a := &api.ExplainedAnswer{
		Status:     f.Reply.Code,
		GRPCStatus: int(f.Call.StatusFor(f.Reply.Code, f.Fault)),
		Cause:      f.Fault.Cause.String(),
		Text:       f.Reply.Text,
	}
	for l := range strings.SplitSeq(string(f.Reply.Lines), "\r\n") {
		if l != "" {
			a.Fields = append(a.Fields, fieldLine(l))
		}
	}
	return a
}

// whyAnswer says why lb answers by itself.
func (f *Facts) whyAnswer() string {
	way := f.Asked.Way
	switch {
	case f.Fault.Cause == record.CauseNoRoute:
		return `no route takes it, and the pool "default" has no backend`
	case f.Fault.Cause == record.CauseDenied:
		return fmt.Sprintf("route %d does not let this client in (allow, deny)", f.Route+1)
	case f.Fault.Cause == record.CauseAmbiguous && f.Route == route.None:
		return `servers read its path in different ways, which lead to different routes (paths = "reject")`
	case f.Fault.Cause == record.CauseAmbiguous:
		return fmt.Sprintf("servers read its path in different ways: route %d cannot take its prefix off for all of them (strip_prefix)", f.Route+1)
	case f.Fault.Cause == record.CauseNoBackend:
		return fmt.Sprintf("no backend of pool %s can be chosen: %s", f.Config.Pools[f.Pool].Name, whyNone[f.Peek.Why])
	case f.Fault.Cause == record.CauseCrowded:
		return fmt.Sprintf("every backend of pool %s is full, and so is its queue", f.Config.Pools[f.Pool].Name)
	case f.Fault.Cause != record.NoCause:
		return f.Reply.Text
	case f.Route >= 0:
		return fmt.Sprintf("route %d redirects", f.Route+1)
	case f.Reply.Code == 200 && f.Reply.Text != "":
		return "it is an HTTP-01 challenge of ACME, which lb answers before anything else"
	case f.Reply.Code == 308 && way > front.TLS:
		return fmt.Sprintf("the listener at %s redirects to https", f.Asked.Listener.Address)
	case f.Reply.Code == 200:
		return "Max-Forwards is 0: OPTIONS ends here"
	}
	return f.Reply.Text
}

var whyNone = map[upstream.Why]string{
	upstream.Down:    "by the active checks all are down, or all that may be used",
	upstream.Drained: "all are drained or disabled",
	upstream.Empty:   "it has none",
}

// head says what the backend would get.
func (f *Facts) head(out *api.Explained) {
	lines := strings.Split(strings.TrimSuffix(string(f.Head), "\r\n\r\n"), "\r\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	rest = strings.TrimSuffix(rest, " HTTP/1.1")
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\n", method, redact.URL(rest))
	if was := string(f.Came.Message.Target.Of(f.Came.Text)); was != rest {
		out.Notes = append(out.Notes, fmt.Sprintf("the target is sent as %s", redact.URL(rest)))
	}
	came := map[string]int{}
	for _, field := range f.Came.Message.Fields {
		came[string(field.Name.Of(f.Came.Text))+": "+string(field.Value.Of(f.Came.Text))]++
	}
	for _, line := range lines[1:] {
		text.WriteString(fieldLine(line) + "\n")
		if came[line]--; came[line] < 0 {
			out.Added = append(out.Added, fieldLine(line))
		}
	}
	for _, field := range f.Came.Message.Fields {
		line := string(field.Name.Of(f.Came.Text)) + ": " + string(field.Value.Of(f.Came.Text))
		if came[line] > 0 {
			came[line]--
			out.Dropped = append(out.Dropped, fieldLine(line))
		}
	}
	out.Head = text.String()
	if f.Came.Streams {
		out.Notes = append(out.Notes, "the backend speaks HTTP/2: the head is sent as its fields, in lower case and without those about the connection")
	}
}

// settings lists the settings that hold for the request, under the keys of lb.toml.
func (f *Facts) settings(out *api.Explained) {
	add := func(path, text string) {
		tunnels := strings.HasPrefix(path, "timeouts.tunnel_") && !f.Came.Message.Seen.Has(httpparse.Upgrade)
		if !tunnels && !slices.Contains(notOfRequests, path) {
			out.Settings = append(out.Settings, api.ExplainedSetting{Key: path, Value: text})
		}
	}
	f.Config.Walk(add, "paths", "trusted_proxies", "forwarded", "retry", "timeouts", "limits")
	if f.Pool < 0 {
		return
	}
	ofPool := []string{"sticky", "reuse", "protocol", "slow_start", "eject"}
	if f.Config.Pools[f.Pool].Strategy == config.HashOnKey {
		ofPool = append(ofPool, "hash")
	}
	if f.Pool == 0 {
		f.Config.Walk(add, ofPool...)
	} else {
		prefix := fmt.Sprintf("pools[%d].", f.Pool-1)
		f.Config.Walk(func(path, text string) {
			name, ok := strings.CutPrefix(path, prefix)
			if name, _, _ = strings.Cut(name, "."); ok && slices.Contains(ofPool, name) {
				add(path, text)
			}
		}, "pools")
	}
	if m := f.Came.Message; !f.Request.Idempotent() && f.Config.Retry.Attempts > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%s is not idempotent: it is tried again only if nothing of it has reached a backend", m.MethodName.Of(f.Came.Text)))
	}
}

// notOfRequests are settings of the tables that are shown which hold for conns, or for lb as a
// whole.
var notOfRequests = []string{"timeouts.client_idle", "timeouts.backend_idle", "timeouts.handshake", "timeouts.drain", "limits.connections"}
