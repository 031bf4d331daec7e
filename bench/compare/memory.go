package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"lb/bench/report"
)

// settleTime is the time that a proxy has to release memory that its conns no longer
// need.
const settleTime = 4 * time.Second

// held is what the clients of a case do with their conns, and keep doing.
type held struct {
	about string
	conns int // at most
	begin func(c net.Conn, host string) error
	then  func(c net.Conn) // on every conn, after all have begun; may be nil

	h2      func(ctx context.Context, c *http.ClientConn, t target) error // instead of begin
	streams int                                                           // of each conn, to divide the memory by; 0: it is by conns
}

// bigHead is more, in bytes, than any of the proxies takes as a head by default.
const bigHead = 100_000

// holds are the cases of memory by name: patient clients, slow ones and hostile ones.
var holds = map[string]held{
	"idle":     {about: "keep-alive conns that have had one answer", conns: idleMax, begin: exchange},
	"tls-idle": {about: "keep-alive conns with TLS 1.3 that have had one answer", conns: idleTLSMax, begin: exchange},
	"readers":  {about: "clients that do not read their answers of 100 MB", conns: heldMax, begin: askAndWait},
	"heads": {about: "clients that stop in the middle of a head", conns: heldMax,
		begin: func(c net.Conn, host string) error { return say(c, halfHead, host) }},
	"refused": {about: "clients whose heads of 100 kB, half of which came at first, were refused, and that do not leave", conns: heldMax,
		begin: func(c net.Conn, host string) error { return say(c, halfHead+"X: %s", host, halfOfBig) },
		then:  func(c net.Conn) { say(c, "%s", halfOfBig) }, // the answer may come before the end
	},
	"h2-idle": {about: "conns of HTTP/2 over TLS 1.3 that have had one answer", conns: idleH2Max, h2: exchangeH2},
	"h2-streams": {about: "open streams of HTTP/2 over TLS 1.3, 100 on each conn, that wait for the answer, each with its conn to a backend",
		conns: streamConns, h2: beginStreams, streams: openStreams},
}

var halfOfBig = strings.Repeat("x", bigHead/2)

const halfHead = "GET /bytes/1 HTTP/1.1\r\nHost: %s\r\n"

// say writes without waiting for an answer.
func say(c net.Conn, format string, args ...any) error {
	c.SetDeadline(time.Now().Add(readyTimeout))
	_, err := fmt.Fprintf(c, format, args...)
	return err
}

// askAndWait asks for a long answer and reads its first bytes.
func askAndWait(c net.Conn, host string) error {
	if err := say(c, "GET /bytes/100000000 HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 100))
	return err
}

// memory measures once how much memory each conn costs that does what h says.
func (r *runner) memory(ctx context.Context, targets []target, c *report.Case, h held) error {
	n := h.conns
	if half := int(filesMax()/2) - 1000; half < n { // HAProxy reserves two descriptors for each conn
		n = max(half, 100)
	}
	many := n * max(h.streams, 1)
	c.About = fmt.Sprintf("memory of %d %s", many, h.about)
	for i, t := range targets {
		r.tell("%s: %s", c.Name, t.name)
		before, err := pss(t.pid)
		if err != nil {
			return err
		}
		conns, err := hold(ctx, t, n, h)
		var after int64
		if err == nil {
			err = rest(ctx, settleTime)
		}
		if err == nil {
			after, err = pss(t.pid)
		}
		closeAll(conns)
		if err != nil {
			return err
		}
		c.Proxies[i].Rounds = []report.Round{{Requests: int64(many), Memory: after, IdleBytes: float64(after-before) / float64(many)}}
	}
	r.tell("")
	return nil
}

// rest waits for as long as d.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// hold opens n conns to t that do what h says. They are returned with an error too.
func hold(ctx context.Context, t target, n int, h held) (conns []io.Closer, err error) {
	for range n {
		if ctx.Err() != nil {
			return conns, ctx.Err()
		}
		if h.h2 != nil {
			c, err := holdH2(ctx, t, h)
			if err != nil {
				return conns, fmt.Errorf("conn %d: %w", len(conns)+1, err)
			}
			conns = append(conns, c)
			continue
		}
		c, err := dialTarget(t)
		if err != nil {
			return conns, fmt.Errorf("conn %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
		if err := h.begin(c, t.host); err != nil {
			return conns, fmt.Errorf("conn %d: %w", len(conns), err)
		}
	}
	if h.then != nil {
		for _, c := range conns {
			h.then(c.(net.Conn))
		}
	}
	return conns, nil
}

// holdH2 opens one conn of HTTP/2 to t that does what h says.
func holdH2(ctx context.Context, t target, h held) (*http.ClientConn, error) {
	c, err := dialH2(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := h.h2(ctx, c, t); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func closeAll(conns []io.Closer) {
	for _, c := range conns {
		c.Close()
	}
}

// beside holds conns to every target, for a load beside them. stop closes them.
func beside(ctx context.Context, targets []target, n int, h held) (stop func(), err error) {
	var all []io.Closer
	stop = func() { closeAll(all) }
	for _, t := range targets {
		conns, err := hold(ctx, t, n, h)
		all = append(all, conns...)
		if err != nil {
			stop()
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return stop, nil
}
