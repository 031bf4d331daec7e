package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lb/config"
	"lb/config/value"
)

// The labels of a container.
const (
	labelPool    = "lb.pool"
	labelPort    = "lb.port"
	labelWeight  = "lb.weight"
	labelNetwork = "lb.network"
)

// portHTTPS is the port at which a backend speaks TLS, as in the file.
const portHTTPS = 443

// container is what lb reads of one in the list.
type container struct {
	ID     string
	Names  []string
	Labels map[string]string
	State  string // "running", "paused", ...
	Status string // "Up 2 minutes (healthy)"
	Ports  []struct {
		PrivatePort int
		Type        string
	}
	NetworkSettings struct {
		Networks map[string]*struct{ IPAddress, GlobalIPv6Address string }
	}
}

// list returns the backends of the pool. The log gets a line about a container that cannot
// be used as it is labelled.
func (s *Source) list(ctx context.Context) ([]config.Backend, error) {
	var all []container
	if err := s.get(ctx, s.version+"/containers/json?filters="+filters(map[string][]string{"label": {labelPool + "=" + s.pool}}), &all); err != nil {
		return nil, err
	}
	now := time.Now()
	maps.DeleteFunc(s.gone, func(_ string, until time.Time) bool { return !now.Before(until) })
	list := make([]config.Backend, 0, len(all))
	flaws := map[string]string{}
	for i := range all {
		c := &all[i]
		if _, leaves := s.gone[c.ID]; leaves || !c.serves() {
			continue
		}
		b, f := c.backend(s.network)
		if f == nil {
			list = append(list, b)
			continue
		}
		if flaws[c.ID] = f.What; s.flaws[c.ID] != f.What {
			s.log.Warn("container is left out of its pool", "pool", s.pool, "container", c.name(), "cause", f.What, "mend", f.Hint)
		}
	}
	s.flaws = flaws
	return list, nil
}

// serves reports whether c takes requests: it runs, and is healthy if it has a health check.
func (c *container) serves() bool {
	return c.State == "running" && !strings.Contains(c.Status, "(unhealthy)") &&
		!strings.Contains(c.Status, "(health: starting)") && !strings.Contains(c.Status, "(Paused)")
}

func (c *container) name() string {
	if len(c.Names) == 0 {
		return c.ID
	}
	return strings.TrimPrefix(c.Names[0], "/")
}

// backend returns the backend that c is, at its address in the network that its label names,
// or else in network, or else in the first one by name.
func (c *container) backend(network string) (b config.Backend, f *value.Flaw) {
	if b.Host, f = c.address(cmp.Or(c.Labels[labelNetwork], network)); f != nil {
		return b, f
	}
	if b.Port, f = c.port(); f != nil {
		return b, f
	}
	b.TLS = b.Port == portHTTPS
	b.Weight, f = c.number(labelWeight, "1", config.WeightMax)
	return b, f
}

// number returns the value of a label, or of other if it is not there, from 1 to high.
func (c *container) number(label, other string, high int) (int, *value.Flaw) {
	text := cmp.Or(c.Labels[label], other)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > high {
		return 0, value.Wrong(fmt.Sprintf("label %s: %q is not 1 to %d", label, text, high), "start the container with another label")
	}
	return n, nil
}

// port returns the port of its label, or the only one that c exposes.
func (c *container) port() (int, *value.Flaw) {
	if c.Labels[labelPort] != "" {
		return c.number(labelPort, "", value.PortMax)
	}
	only := 0
	for _, p := range c.Ports {
		switch {
		case p.Type != "tcp" || p.PrivatePort == only: // the second is for IPv6
		case only != 0:
			return 0, value.Wrong("it exposes several ports", "name one in the label "+labelPort)
		default:
			only = p.PrivatePort
		}
	}
	if only < 1 || only > value.PortMax {
		return 0, value.Wrong("it exposes no port", "name one in the label "+labelPort)
	}
	return only, nil
}

// address returns the address of c in network, or in any if network is "".
func (c *container) address(network string) (string, *value.Flaw) {
	names := slices.Sorted(maps.Keys(c.NetworkSettings.Networks))
	if network != "" {
		if !slices.Contains(names, network) {
			return "", value.Wrong(fmt.Sprintf("it is not in the network %q", network), fmt.Sprintf("connect it, or name one of %v in the label %s", names, labelNetwork))
		}
		names = []string{network}
	}
	for _, name := range names {
		at := c.NetworkSettings.Networks[name]
		switch {
		case name == "host":
			return "127.0.0.1", nil
		case at == nil:
		case isIP(at.IPAddress):
			return at.IPAddress, nil
		case isIP(at.GlobalIPv6Address):
			return at.GlobalIPv6Address, nil
		}
	}
	return "", value.Wrong("it has no address in a network", "connect it to one, or run it with --network host")
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
