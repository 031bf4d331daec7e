package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lb/admin/api"
)

// process is an lb.
type process struct {
	cmd             *exec.Cmd
	lb, config, url string
}

// freePort returns a port that nothing uses at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// end ends lb.
func (p *process) end() {
	p.cmd.Process.Signal(syscall.SIGQUIT)
	p.cmd.Wait()
}

// await waits until lb has exactly the members of m.
func (p *process) await(m *members, atMost time.Duration) (err error) {
	for end := time.Now().Add(atMost); ; time.Sleep(50 * time.Millisecond) {
		if err = p.compare(m); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// compare returns how the members that lb has differ from m.
func (p *process) compare(m *members) error {
	text, err := exec.Command(p.lb, "status", "--json", "-c", p.config).Output()
	if err != nil {
		return fmt.Errorf("lb status: %w", err)
	}
	var s api.Status
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	have := map[string]map[string]bool{}
	for _, pool := range s.Pools {
		have[pool.Name] = map[string]bool{}
		for _, b := range pool.Backends {
			have[pool.Name][b.Address] = true
		}
	}
	for i, list := range m.pools {
		pool := have[fmt.Sprint("p", i)]
		for _, n := range list {
			if !pool[m.address(n)] || len(pool) != len(list) {
				return fmt.Errorf("pool p%d has %d members, and %s is one: %v; want %d", i, len(pool), m.address(n), pool[m.address(n)], len(list))
			}
		}
	}
	return nil
}

// cpu returns the CPU time of each process of lb so far: that of the supervisor and the sum
// of the workers'.
func (p *process) cpu() (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return nil, errors.Join(err, errors.New("there is no /proc"))
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 13 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		took := time.Duration(user+system) * 10 * time.Millisecond
		switch p.cmd.Process.Pid {
		case pid:
			used["supervisor"] += took
		case parent:
			used["workers"] += took
		}
	}
	return used, nil
}
