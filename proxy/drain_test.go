package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lb/proxy/h1"
)

// TestDrainAmongPipelinedRequests: a drain that begins after some pipelined requests have
// been read, with more of them unread, loses no byte: the answers belong to the requests.
func TestDrainAmongPipelinedRequests(t *testing.T) {
	r := newRig(t, 1, rigConfig(1), false)
	client := r.k.Connect(r.listener, rigClient)
	r.settle()
	one := "OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\nX: " + strings.Repeat("x", 1000) + "\r\n\r\n"
	client.Send([]byte(strings.Repeat(one, 100)))
	between := func() bool { return r.p.arena.Out() > 0 && r.p.counters.Exchanges.Load() == 0 }
	for range 10 {
		if between() {
			break
		}
		r.l.Turn(false)
	}
	if !between() {
		t.Fatal("no requests are left for the next turn")
	}
	drained := 0
	r.l.Post(func() { r.p.Drain(func() { drained++ }) })
	r.pass(2 * time.Second)
	client.Close()
	r.pass(h1.LingerTimeout)
	got := client.Received()
	all, good, last := bytes.Count(got, []byte("HTTP/1.1 ")), bytes.Count(got, []byte("HTTP/1.1 200 OK")), bytes.Count(got, []byte("Connection: close"))
	if all == 0 || good != all || last != 1 {
		t.Errorf("%d answers, %d of them 200, %d say close; want all of them, and the last", all, good, last)
	}
	if left := r.leftovers(); len(left) > 0 || drained != 1 {
		t.Errorf("drained %d times, left over: %q", drained, left)
	}
}

// TestPassedAfterADrain: a client that another loop passes on after the last client has
// gone is answered and may pick a backend. The board shows it until it has gone.
func TestPassedAfterADrain(t *testing.T) {
	r := newRig(t, 1, rigConfig(1), false)
	r.l.Post(func() { r.p.Drain(func() {}) })
	r.settle()
	late := r.k.Connect(r.listener, rigClient)
	fd, _, _ := r.k.Accept(r.listener)
	late.Send([]byte(ask))
	r.l.Post(func() { r.p.Passed("", fd, rigClient) })
	r.settle()
	if got := r.oldest(); got != 1 {
		t.Errorf("oldest %d while it is at work, want 1", got)
	}
	r.servers[0].Accept().Send([]byte(answer))
	r.settle()
	if !bytes.Contains(late.Received(), []byte("Connection: close")) || !late.Ended() {
		t.Errorf("%q, ended %v", late.Received(), late.Ended())
	}
	late.Close()
	r.pass(h1.LingerTimeout)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
