package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"lb/bench/report"
)

// settleTime is the time that a proxy has to release memory of conns that have
// become idle.
const settleTime = time.Second

// idle measures once the memory of each conn that is idle after one answer.
func (r *runner) idle(ctx context.Context, rg *rig, targets []target, c *report.Case) error {
	n := idleMax
	if half := int(filesMax()/2) - 1000; half < n { // HAProxy reserves two descriptors for each conn
		n = max(half, 100)
	}
	c.About = fmt.Sprintf("memory of %d keep-alive conns that have had one answer", n)
	for i, t := range targets {
		r.tell("%s: %s", c.Name, t.name)
		before, err := pss(t.pid)
		if err != nil {
			return err
		}
		after, err := holdIdle(ctx, t, n)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		c.Proxies[i].Rounds = []report.Round{{Requests: int64(n), Memory: after, IdleBytes: float64(after-before) / float64(n)}}
	}
	r.tell("")
	return nil
}

// holdIdle opens n conns, makes one request on each, and returns the memory of t
// while they are idle.
func holdIdle(ctx context.Context, t target, n int) (memory int64, err error) {
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range n {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		c, err := dialTarget(t)
		if err != nil {
			return 0, fmt.Errorf("conn %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
		if err := exchange(c, t.host); err != nil {
			return 0, fmt.Errorf("conn %d: %w", len(conns), err)
		}
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(settleTime):
	}
	return pss(t.pid)
}
