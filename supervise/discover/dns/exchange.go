package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// The pace at which name servers are asked.
const (
	// nextAfter is how long a server may take until the next is asked beside it; the first
	// answer is taken.
	nextAfter = 300 * time.Millisecond
	// againAfter is the least time between two questions to one server: datagrams get
	// lost.
	againAfter = 500 * time.Millisecond
	// udpBytes is the size of answers that no network cuts (DNS flag day 2020).
	udpBytes = 1232
	// readBytes is the size of those that are taken from servers that do not keep to that.
	readBytes = 16384
)

// codeError is an answer that has a code instead of records.
type codeError struct {
	server string
	code   int
}

func (e *codeError) Error() string {
	text := dns.RcodeToString[e.code]
	if text == "" {
		text = fmt.Sprint("code ", e.code)
	}
	return fmt.Sprintf("the name server %s answers %s", e.server, text)
}

// silenceError is that of name servers that do not answer.
type silenceError struct{ servers []string }

func (e *silenceError) Error() string {
	return "no answer from the name server " + strings.Join(e.servers, " and ")
}

// race asks servers for one question, one after another until one has answered.
type race struct {
	c       *Client
	conf    *conf
	q       dns.Question
	order   []string
	results chan result
	failed  map[string]bool // those that have answered with an error
	asked   int             // questions
	pending int
	err     error // the first
}

type result struct {
	server string
	msg    *dns.Msg
	err    error
}

// exchange returns the first good answer of a server of conf: one that has records, or
// says that there are none, or that there is no such name.
func (c *Client) exchange(ctx context.Context, conf *conf, name string, kind uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &race{c: c, conf: conf, q: dns.Question{Name: name, Qtype: kind, Qclass: dns.ClassINET},
		order: c.order(conf), failed: map[string]bool{}}
	most := len(r.order) * conf.attempts
	r.results = make(chan result, most)
	next := time.NewTimer(r.ask(ctx))
	defer next.Stop()
	for {
		select {
		case res := <-r.results:
			r.pending--
			if res.err == nil {
				c.isGood(conf, res.server)
				return res.msg, nil
			}
			r.note(res)
			if r.asked < len(r.order) {
				next.Reset(r.ask(ctx))
			}
		case <-next.C:
			if r.asked < most {
				next.Reset(r.ask(ctx))
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if r.pending == 0 && (r.asked >= most || len(r.failed) == len(r.order)) {
			return nil, r.err
		}
	}
}

// note enters an error. One that has a code says more than silence.
func (r *race) note(res result) {
	var silence *silenceError
	if !errors.As(res.err, &silence) {
		r.failed[res.server] = true
	}
	var had *silenceError
	switch {
	case r.err == nil:
		r.err = res.err
	case errors.As(r.err, &had) && silence == nil:
		r.err = res.err
	case had != nil && silence != nil && !slices.Contains(had.servers, res.server):
		had.servers = append(had.servers, res.server)
	}
}

// ask asks the next server that has not failed, and returns the time until the one after it
// is asked.
func (r *race) ask(ctx context.Context) time.Duration {
	server := r.order[r.asked%len(r.order)]
	r.asked++
	if r.failed[server] {
		return 0
	}
	r.pending++
	edns := r.asked <= len(r.order) // what is in the way may drop it
	go func() {
		msg, err := r.c.one(ctx, r.conf, server, r.q, edns)
		r.results <- result{server, msg, err}
	}()
	if r.asked%len(r.order) == 0 { // the first is the next
		return max(r.c.next, r.c.again-time.Duration(len(r.order)-1)*r.c.next)
	}
	return r.c.next
}

// one asks one server.
func (c *Client) one(ctx context.Context, conf *conf, server string, q dns.Question, edns bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, conf.timeout)
	defer cancel()
	network := "udp"
	if conf.tcp {
		network = "tcp"
	}
	msg, err := talk(ctx, network, server, q, edns)
	if err == nil && edns && (msg.Rcode == dns.RcodeFormatError || msg.Rcode == dns.RcodeNotImplemented || msg.Rcode == dns.RcodeBadVers) {
		msg, err = talk(ctx, network, server, q, false) // it does not know EDNS
	}
	if err == nil && msg.Truncated && network == "udp" {
		if whole, e := talk(ctx, "tcp", server, q, edns); e == nil {
			msg = whole
		} else if len(msg.Answer) == 0 {
			err = e
		}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case msg.Rcode == dns.RcodeNameError:
	case msg.Rcode != dns.RcodeSuccess:
		return nil, &codeError{server, msg.Rcode}
	case len(msg.Answer)+len(msg.Ns) > 0 && msg.Truncated:
	case isLame(msg):
		return nil, fmt.Errorf("the name server %s refers to others instead of asking them", server)
	}
	return msg, nil
}

// isLame reports whether msg comes from a server that does not know the name and asks no
// others.
func isLame(msg *dns.Msg) bool {
	return len(msg.Answer) == 0 && !msg.Authoritative && !msg.RecursionAvailable &&
		!slices.ContainsFunc(msg.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }) &&
		slices.ContainsFunc(msg.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS })
}

// talk sends one question from a port of its own, and returns the answer to it. The port
// and the number of the question are random; other messages are left alone.
func talk(ctx context.Context, network, server string, q dns.Question, edns bool) (*dns.Msg, error) {
	out := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id(), RecursionDesired: true}, Question: []dns.Question{q}}
	if edns {
		out.SetEdns0(udpBytes, false)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, netError(server, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	conn := &dns.Conn{Conn: c, UDPSize: readBytes}
	if err := conn.WriteMsg(out); err != nil {
		return nil, netError(server, err)
	}
	for {
		raw, err := conn.ReadMsgHeader(nil)
		if err != nil && raw == nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, netError(server, err)
		}
		in := new(dns.Msg)
		if len(raw) < 12 || uint16(raw[0])<<8|uint16(raw[1]) != out.Id {
			if network == "tcp" {
				return nil, fmt.Errorf("the name server %s answers another question", server)
			}
			continue
		}
		if err := in.Unpack(raw); err != nil && !in.Truncated {
			return nil, fmt.Errorf("the name server %s sends what cannot be read: %w", server, err)
		}
		if answers(in, q) {
			return in, nil
		}
	}
}

// answers reports whether msg is an answer to q. One with an error may have no question.
func answers(msg *dns.Msg, q dns.Question) bool {
	if !msg.Response || msg.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(msg.Question) != 1 {
		return len(msg.Question) == 0 && msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError
	}
	got := msg.Question[0]
	return strings.EqualFold(got.Name, q.Name) && got.Qtype == q.Qtype && got.Qclass == q.Qclass
}

// netError says in few words that a server cannot be asked.
func netError(server string, err error) error {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.Canceled):
		return &silenceError{[]string{server}}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no name server at %s: %w", server, syscall.ECONNREFUSED)
	}
	return fmt.Errorf("the name server %s cannot be asked: %w", server, err)
}
