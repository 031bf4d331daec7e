package config

import (
	"fmt"

	"lb/config/value"
)

// Flags are the settings of the command line. A flag that was not given is nil.
type Flags struct {
	Mode, Host, Strategy, LogLevel, PIDFile, Admin *string
	Workers, Port                                  *int
	Backends                                       []string // if there are any, they replace those of the file
}

// With returns a copy of c with the flags applied. It returns Errors without
// positions for flags that it does not accept.
func (c *Config) With(f Flags) (*Config, error) {
	out := *c
	out.Pools = append([]Pool(nil), c.Pools...)
	var errs Errors
	note := func(flag string, f *value.Flaw) {
		if f != nil {
			errs = append(errs, flagError(flag, f))
		}
	}
	note("--mode", textFlag(&out.Mode, f.Mode, checkMode))
	note("--workers", numberFlag(&out.Workers, f.Workers, 0, workersMax))
	note("--port", numberFlag(&out.Port, f.Port, 0, value.PortMax))
	note("--host", textFlag(&out.Host, f.Host, value.CheckListenHost))
	note("--strategy", textFlag(&out.Pools[0].Strategy, f.Strategy, checkStrategy))
	note("--log-level", textFlag(&out.LogLevel, f.LogLevel, checkLogLevel))
	note("--admin", textFlag(&out.Admin.Address, f.Admin, value.CheckAddress))
	note("--pid-file", textFlag(&out.PIDFile, f.PIDFile, value.CheckFile))
	if len(f.Backends) > 0 {
		out.Pools[0].Backends = backendFlags(f.Backends, note)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return &out, nil
}

func flagError(flag string, f *value.Flaw) *Error {
	return &Error{Key: flag, What: f.What, Hint: f.Hint}
}

func textFlag[S ~string](to *S, from *string, check func(string) *value.Flaw) *value.Flaw {
	if from == nil {
		return nil
	}
	*to = S(*from)
	return check(*from)
}

func numberFlag(to, from *int, low, high int) (f *value.Flaw) {
	if from != nil {
		*to, f = value.ParseInt(int64(*from), low, high)
	}
	return f
}

// backendFlags reads the backends of the command line, and calls note for each flaw.
func backendFlags(list []string, note func(flag string, f *value.Flaw)) []Backend {
	backends := make([]Backend, 0, len(list))
	seen := map[string]int{}
	for i, s := range list {
		b, f := parseBackend(s)
		if n, twice := seen[Identity(b)]; f == nil && twice {
			f = duplicate(b, fmt.Sprintf("as number %d", n))
		}
		if f != nil {
			note("--backend", f)
			continue
		}
		seen[Identity(b)] = i + 1
		backends = append(backends, b)
	}
	return backends
}
