package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// members are the backends of all pools, as their files have them. One goroutine uses them.
type members struct {
	dir     string
	control bool
	port    string
	pools   [][]int // numbers of addresses
	next    int     // the lowest number that no pool has had
	turn    int     // the pool that changes next
	changes int
}

func fileOf(dir string, pool int) string { return filepath.Join(dir, fmt.Sprintf("p%d.json", pool)) }

// newMembers writes the files.
func newMembers(dir string, o *options, server string) (*members, error) {
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "control"), 0o700); err != nil {
		return nil, err
	}
	m := &members{dir: dir, port: port, control: o.control}
	for i := range o.pools {
		m.pools = append(m.pools, nil)
		for range o.each {
			m.pools[i] = append(m.pools[i], m.next)
			m.next++
		}
		if err := m.write(i); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// address returns address number n, of those of 127.0.0.0/8.
func (m *members) address(n int) string {
	n %= 1 << 22
	return fmt.Sprintf("127.%d.%d.%d:%s", 1+n>>16, n>>8&255, n&255, m.port)
}

// write swaps the file of a pool.
func (m *members) write(pool int) error { return m.writeTo(m.dir, pool) }

func (m *members) writeTo(dir string, pool int) error {
	list := make([]map[string]any, len(m.pools[pool]))
	for i, n := range m.pools[pool] {
		list[i] = map[string]any{"address": m.address(n)}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	path := fileOf(dir, pool)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// change puts a backend that was never there in the place of one of the next pool.
func (m *members) change() error {
	pool := m.turn % len(m.pools)
	m.turn++
	if m.control {
		m.changes++
		return m.writeTo(filepath.Join(m.dir, "control"), pool)
	}
	list := m.pools[pool]
	list[m.turn/len(m.pools)%len(list)] = m.next
	m.next++
	m.changes++
	return m.write(pool)
}

// churn makes changes, so many a second, until stop.
func (m *members) churn(rate float64) (stop func() error) {
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		t := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer t.Stop()
		for {
			select {
			case <-end:
				ended <- nil
				return
			case <-t.C:
			}
			if err := m.change(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() error { close(end); return <-ended }
}
