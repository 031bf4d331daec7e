package config

import (
	"slices"

	"lb/config/schema"
	"lb/config/value"
)

// diffListeners compares the listeners of the same address. Their order counts as well: a
// redirect leads to the first with TLS.
func diffListeners(d *schema.Differ, old, new *draft, path string) {
	if schema.ShowList(d, path, new.Listeners, listenerKeys) {
		return
	}
	at := func(list []Listener, l Listener) int {
		return slices.IndexFunc(list, func(other Listener) bool { return other.Address == l.Address })
	}
	for _, l := range new.Listeners {
		if i := at(old.Listeners, l); i >= 0 {
			in := d.Inside(schema.OfListener, l.Address)
			schema.DiffTable(in, &old.Listeners[i], &l, "", listenerKeys)
			d.Add(in)
		} else {
			d.Whole(schema.Added, schema.OfListener, l.Address, l.words())
		}
	}
	for _, l := range old.Listeners {
		if at(new.Listeners, l) < 0 {
			d.Whole(schema.Removed, schema.OfListener, l.Address, "")
		}
	}
	address := func(l Listener) string { return l.Address }
	schema.DiffOrder(d, path, old.Listeners, new.Listeners, address)
}

// words returns what a listener does, in parentheses, or "" for plain HTTP.
func (l Listener) words() string {
	switch {
	case l.TLS:
		return " (tls)"
	case l.RedirectHTTPS:
		return " (redirect_https)"
	}
	return ""
}

// diffCerts compares the certificates of the same file. The first is for names that no
// other has.
func diffCerts(d *schema.Differ, old, new *tlsText, path string) {
	if schema.ShowList(d, path, new.Certs, certKeys) {
		return
	}
	at := func(list []Cert, c Cert) int {
		return slices.IndexFunc(list, func(other Cert) bool { return other.Cert == c.Cert })
	}
	for i, c := range new.Certs {
		if j := at(old.Certs, c); j >= 0 {
			in := d.Inside(schema.OfCert, value.QuoteText(c.Cert))
			in.Setting("key", value.QuoteText(old.Certs[j].Key), value.QuoteText(c.Key))
			d.Add(in)
			continue
		}
		more := ""
		if i == 0 {
			more = " (for names that no other has)"
		}
		d.Whole(schema.Added, schema.OfCert, value.QuoteText(c.Cert), more)
	}
	for _, c := range old.Certs {
		if at(new.Certs, c) < 0 {
			d.Whole(schema.Removed, schema.OfCert, value.QuoteText(c.Cert), "")
		}
	}
	file := func(c Cert) string { return c.Cert }
	schema.DiffOrder(d, path, old.Certs, new.Certs, file)
}
