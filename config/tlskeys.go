package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lb/config/access"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// The keys of listeners and of TLS, from clients and to backends.

var listenerKeys = []schema.Key[Listener]{
	schema.Text("address", value.CheckListen, func(l *Listener) *string { return &l.Address }),
	schema.Flag("tls", func(l *Listener) *bool { return &l.TLS }),
	schema.Flag("redirect_https", func(l *Listener) *bool { return &l.RedirectHTTPS }),
	schema.Flag("proxy_protocol", func(l *Listener) *bool { return &l.ProxyProtocol }),
	access.Networks("allow", func(l *Listener) *[]netip.Prefix { return &l.Allow }),
	access.Networks("deny", func(l *Listener) *[]netip.Prefix { return &l.Deny }),
}

// tlsText is TLS as it stands in the file, with the first certificate apart.
type tlsText struct {
	TLS
	first Cert
}

var tlsKeys = []schema.Key[tlsText]{
	schema.File("cert", func(t *tlsText) *string { return &t.first.Cert }),
	schema.File("key", func(t *tlsText) *string { return &t.first.Key }),
	schema.Text("min_version", checkVersion, func(t *tlsText) *string { return &t.MinVersion }),
	schema.Text("client_auth", checkClientAuth, func(t *tlsText) *string { return &t.ClientAuth }),
	schema.File("client_ca", func(t *tlsText) *string { return &t.ClientCA }),
	schema.Single("hsts", func(t *tlsText) *time.Duration { return &t.HSTS }, value.ParseMaxAge, value.DurationText),
	schema.Special("certs", readCerts, diffCerts),
	schema.Table("acme", acmeKeys, func(t *tlsText) *ACME { return &t.ACME }),
}

var certKeys = []schema.Key[Cert]{
	schema.File("cert", func(c *Cert) *string { return &c.Cert }), // that of a certificate that is compared
	schema.File("key", func(c *Cert) *string { return &c.Key }),
}

var acmeKeys = []schema.Key[ACME]{
	schema.Special("names", readNames, schema.Shown(func(a *ACME) string { return value.ListText(a.Names) })),
	schema.Text("email", value.CheckEmail, func(a *ACME) *string { return &a.Email }),
	schema.URL("directory", value.CheckDirectory, func(a *ACME) *string { return &a.Directory }),
	schema.File("directory_ca", func(a *ACME) *string { return &a.DirectoryCA }),
	schema.Path("storage", value.CheckStorage, func(a *ACME) *string { return &a.Storage }),
}

var backendTLSKeys = []schema.Key[BackendTLS]{
	schema.File("ca", func(b *BackendTLS) *string { return &b.CA }),
	schema.Text("server_name", value.CheckServerName, func(b *BackendTLS) *string { return &b.ServerName }),
	schema.File("client_cert", func(b *BackendTLS) *string { return &b.ClientCert }),
	schema.File("client_key", func(b *BackendTLS) *string { return &b.ClientKey }),
	schema.Flag("insecure", func(b *BackendTLS) *bool { return &b.Insecure }),
}

func checkVersion(s string) *value.Flaw { return value.OneOf(s, "version of TLS", TLS12, TLS13) }

func checkClientAuth(s string) *value.Flaw {
	return value.OneOf(s, "way to ask for certificates", ClientAuthNone, ClientAuthRequest, ClientAuthRequire)
}

// readListeners reads [[listeners]].
func readListeners(r *schema.Reader, c *draft, path string, v any) {
	list, ok := schema.ReadTables(r, path, v, "listener")
	if !ok {
		return
	}
	for i, v := range list {
		at, before, l := tomlfile.Element(path, i), len(r.Errs), Listener{}
		schema.ReadTable(r, &l, at, v, listenerKeys)
		if len(r.Errs) == before {
			checkListener(r, at, l, c.Listeners)
		}
		c.Listeners = append(c.Listeners, l)
	}
}

// checkListener checks the listener at path; before are those above it in the file.
func checkListener(r *schema.Reader, path string, l Listener, before []Listener) {
	switch {
	case l.Address == "":
		r.RefuseValue(path, value.Wrong("has no address", `add address = ":443" or another`))
		return
	case l.TLS && l.RedirectHTTPS:
		r.RefuseValue(tomlfile.Under(path, "redirect_https"), value.Wrong("leads to https, which is spoken here already", "remove it, or tls = true"))
	}
	for i, b := range before {
		if b.Address != "" && value.SameListen(b.Address, l.Address) {
			line, _ := r.File.Value(tomlfile.Element("listeners", i))
			r.RefuseValue(tomlfile.Under(path, "address"), value.Wrong(
				fmt.Sprintf("%q is taken by the listener in line %d", l.Address, line), "remove one, or give it another port"))
			return
		}
	}
}

// readTLS reads [tls]. The first certificate may be in [tls] itself.
func readTLS(r *schema.Reader, c *draft, path string, v any) {
	t := tlsText{TLS: c.TLS}
	schema.ReadTable(r, &t, path, v, tlsKeys)
	if t.first.Cert != "" {
		t.Certs = append([]Cert{t.first}, t.Certs...)
	} else if t.first.Key != "" {
		r.RefuseValue(tomlfile.Under(path, "key"), value.Wrong("is the key of no certificate", `add cert = "site.pem"`))
	}
	c.TLS = t.TLS
	switch {
	case t.ClientAuth != ClientAuthNone && t.ClientCA == "":
		r.RefuseValue(tomlfile.Under(path, "client_auth"), value.Wrong("needs the authority that certificates of clients come from", `add client_ca = "ca.pem"`))
	case t.ClientAuth == ClientAuthNone && t.ClientCA != "":
		r.RefuseValue(tomlfile.Under(path, "client_ca"), value.Wrong(`is not used with client_auth = "none"`, `add client_auth = "require" or "request"`))
	case t.ACME.DirectoryCA != "" && t.ACME.Directory == "":
		r.RefuseValue(path+".acme.directory_ca", value.Wrong("is for a directory of your own", `add directory = "https://..."`))
	}
}

func diffTLS(d *schema.Differ, old, new *draft, path string) {
	schema.DiffTable(d, &tlsText{TLS: old.TLS}, &tlsText{TLS: new.TLS}, path, tlsKeys)
}

// readCerts reads [[tls.certs]].
func readCerts(r *schema.Reader, t *tlsText, path string, v any) {
	list, ok := schema.ReadTables(r, path, v, "certificate")
	if !ok {
		return
	}
	for i, v := range list {
		at, before, c := tomlfile.Element(path, i), len(r.Errs), Cert{}
		schema.ReadTable(r, &c, at, v, certKeys)
		if c.Cert == "" && len(r.Errs) == before {
			r.RefuseValue(at, value.Wrong("has no certificate", `add cert = "site.pem"`))
		}
		if len(r.Errs) == before {
			t.Certs = append(t.Certs, c)
		}
	}
}

// readNames reads the names that certificates are got for.
func readNames(r *schema.Reader, a *ACME, path string, v any) {
	a.Names = nil
	schema.ReadTexts(r, path, v, `write a name in quotes, such as "example.com"`, func(at, s string) {
		r.RefuseValue(at, addName(&a.Names, s))
	})
}

// addName adds s to names in lower case.
func addName(names *[]string, s string) *value.Flaw {
	name := strings.ToLower(s)
	if f := value.CheckCertName(name); f != nil {
		return f
	}
	if slices.Contains(*names, name) {
		return value.Wrong(fmt.Sprintf("%q is there already", name), "remove one")
	}
	*names = append(*names, name)
	return nil
}

// finishListeners checks that listeners and certificates fit each other.
func (r *reader) finishListeners() {
	c := &r.draft.Config
	if !r.File.Has("listeners") {
		return
	}
	for _, name := range []string{"host", "port"} {
		r.RefuseHere(name, value.Wrong("is not used with [[listeners]]", "remove it: address says where to listen"))
	}
	secure := slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.TLS })
	for i, l := range c.Listeners {
		at := tomlfile.Element("listeners", i)
		switch {
		case l.RedirectHTTPS && !secure:
			r.RefuseValue(tomlfile.Under(at, "redirect_https"), value.Wrong("leads to https, and no listener has it", `add [[listeners]] with address = ":443" and tls = true`))
		case l.TLS && !c.TLS.HasCert():
			r.RefuseValue(tomlfile.Under(at, "tls"), value.Wrong("has no certificate", "write cert and key in [tls], or names in [tls.acme]"))
		}
		if l.ProxyProtocol && len(c.TrustedProxies) == 0 {
			r.RefuseValue(tomlfile.Under(at, "proxy_protocol"), value.Wrong("believes headers of no proxy", `add trusted_proxies = ["10.0.0.0/8"] or another at the top`))
		}
	}
	if secure {
		return
	}
	for _, path := range []string{"tls.cert", "tls.certs", "tls.acme.names"} {
		if r.File.Has(path) && c.TLS.HasCert() {
			r.RefuseValue(path, value.Wrong("is used by no listener", "add tls = true to one of [[listeners]]"))
			return
		}
	}
}

// finishCerts refuses a certificate that is there twice.
func (r *reader) finishCerts() {
	first := map[string]string{} // where it stands
	check := func(at string, c Cert) {
		if before, twice := first[c.Cert]; twice {
			line, _ := r.File.Value(before)
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("is the certificate of line %d", line), "remove one: a certificate is served for all names in it"))
			return
		}
		first[c.Cert] = at
	}
	certs := r.draft.TLS.Certs
	if r.File.Has("tls.cert") && len(certs) > 0 {
		check("tls.cert", certs[0])
		certs = certs[1:]
	}
	for i, c := range certs {
		check(tomlfile.Under(tomlfile.Element("tls.certs", i), "cert"), c)
	}
}

// finishBackendTLS checks the TLS of each pool beside its backends.
func (r *reader) finishBackendTLS() {
	for i := range r.draft.Pools {
		at, backends := "backend_tls", "backends"
		if i > 0 {
			pool := tomlfile.Element("pools", i-1)
			at, backends = tomlfile.Under(pool, "tls"), tomlfile.Under(pool, "backends")
		}
		p := &r.draft.Pools[i]
		r.checkBackendTLS(p, at)
		secure := false
		for j, b := range p.Backends {
			secure = secure || b.TLS
			if b.TLS && b.Socket != "" && p.TLS.ServerName == "" && !p.TLS.Insecure {
				r.RefuseValue(tomlfile.Under(tomlfile.Element(backends, j), "tls"), value.Wrong(
					"needs a name to look for in the certificate, which a unix socket has not", fmt.Sprintf("add server_name to [%s]", tomlfile.Header(at))))
			}
		}
		if !secure && r.File.Has(at) && r.File.Has(backends) {
			r.RefuseValue(at, value.Wrong("is used by no backend", fmt.Sprintf("add tls = true to one of [[%s]]", tomlfile.Header(backends))))
		}
	}
}

// checkBackendTLS checks what is in the table at path, which is that of p.
func (r *reader) checkBackendTLS(p *Pool, path string) {
	t := p.TLS
	switch {
	case t.CA != "" && t.Insecure:
		r.RefuseValue(tomlfile.Under(path, "insecure"), value.Wrong("means that ca is not used", "remove one of the two"))
	case t.ClientCert != "" && t.ClientKey == "":
		r.RefuseValue(tomlfile.Under(path, "client_cert"), value.Wrong("has no key", `add client_key = "lb.key"; it may be the same file`))
	case t.ClientCert == "" && t.ClientKey != "":
		r.RefuseValue(tomlfile.Under(path, "client_key"), value.Wrong("is the key of no certificate", `add client_cert = "lb.pem"`))
	}
}
