package config

import (
	"fmt"
	"net"
	"strings"

	"lb/config/logging"
	"lb/config/value"
)

// Flags are the settings of the command line. A flag that was not given is nil.
type Flags struct {
	Mode, Host, Strategy, LogLevel, LogFormat, PIDFile, Admin *string
	Workers, Port                                             *int
	Backends                                                  []string // if there are any, they replace those of the file
	TLSCert, TLSKey                                           *string  // paths; they replace the certificates in files
	HTTPS                                                     []string // names that lb gets certificates for, commas allowed; they replace those of the file
}

// With returns a copy of c with the flags applied. It returns Errors without
// positions for flags that it does not accept.
func (c *Config) With(f Flags) (*Config, error) {
	out := *c
	out.Flags = f
	out.Pools = append([]Pool(nil), c.Pools...)
	var errs Errors
	note := func(flag string, f *value.Flaw) {
		if f != nil {
			errs = append(errs, flagError(flag, f))
		}
	}
	note("--mode", textFlag(&out.Mode, f.Mode, checkMode))
	note("--workers", numberFlag(&out.Workers, f.Workers, 0, workersMax))
	out.listen(f, note)
	note("--strategy", textFlag(&out.Pools[0].Strategy, f.Strategy, checkStrategy))
	note("--log-level", textFlag(&out.LogLevel, f.LogLevel, checkLogLevel))
	note("--log-format", textFlag(&out.LogFormat, f.LogFormat, logging.CheckLogFormat))
	note("--admin", textFlag(&out.Admin.Address, f.Admin, value.CheckAddress))
	note("--pid-file", textFlag(&out.PIDFile, f.PIDFile, value.CheckFile))
	if len(f.Backends) > 0 {
		out.Pools[0].Backends, out.Pools[0].Discover = backendFlags(f.Backends, note), ""
		for _, b := range out.Pools[0].Backends {
			note("--backend", out.Pools[0].protocolFlaw(b))
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return &out, nil
}

// listen applies the flags that say where and how to listen.
func (c *Config) listen(f Flags, note func(flag string, f *value.Flaw)) {
	if len(c.Listeners) > 0 {
		for _, t := range []struct {
			flag  string
			given bool
		}{{"--port", f.Port != nil}, {"--host", f.Host != nil}, {"--tls-cert", f.TLSCert != nil}, {"--tls-key", f.TLSKey != nil}, {"--https", f.HTTPS != nil}} {
			if t.given {
				note(t.flag, value.Wrong("is not used with the [[listeners]] of the file", "leave it out, or remove them"))
			}
		}
		return
	}
	note("--port", numberFlag(&c.Port, f.Port, 0, value.PortMax))
	note("--host", textFlag(&c.Host, f.Host, value.CheckListenHost))
	switch {
	case f.TLSCert != nil && f.HTTPS != nil:
		note("--https", value.Wrong("gets certificates by itself, and --tls-cert names one", "leave one of the two out"))
	case f.TLSCert != nil:
		c.TLS.Certs = []Cert{{}}
		note("--tls-cert", textFlag(&c.TLS.Certs[0].Cert, f.TLSCert, checkPEM))
		note("--tls-key", textFlag(&c.TLS.Certs[0].Key, f.TLSKey, checkPEM))
	case f.TLSKey != nil:
		note("--tls-key", value.Wrong("is the key of no certificate", "add --tls-cert FILE"))
	case f.HTTPS != nil:
		c.https(f, note)
	}
}

// https serves the names of a flag, with the redirect from port 80 unless a port is given.
func (c *Config) https(f Flags, note func(flag string, f *value.Flaw)) {
	c.TLS.ACME.Names = nil
	for _, s := range strings.Split(strings.Join(f.HTTPS, ","), ",") {
		note("--https", addName(&c.TLS.ACME.Names, strings.TrimSpace(s)))
	}
	if f.Port != nil {
		return // the one listener, which speaks TLS because there are names
	}
	host := c.Host
	if f.Host == nil && host == Default().Host {
		host = "" // every IPv6 and IPv4 address, as for visitors of a site
	}
	c.Listeners = []Listener{
		{Address: net.JoinHostPort(host, "443"), TLS: true},
		{Address: net.JoinHostPort(host, "80"), RedirectHTTPS: true},
	}
}

// checkPEM accepts the path of a file.
func checkPEM(s string) *value.Flaw {
	if s == "" {
		return value.Wrong("is empty", "write the path of a file in PEM")
	}
	return value.CheckFile(s)
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
