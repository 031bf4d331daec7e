package supervise

import (
	"lb/supervise/acme"
	"lb/supervise/certs"
)

// certsChanged brings other certificates, tokens or keys of tickets to the desk.
func (d *desk) certsChanged(cancelled <-chan struct{}) {
	d.queue.Tell("taking up certificates", cancelled, func() {
		if d.ending != nil {
			return
		}
		secrets, number := d.certs.Secrets()
		if secrets != nil && secrets != d.now.Secrets { // else a reload was first
			d.setNow(d.now.WithSecrets(secrets))
			d.crew.SetSecrets(secrets)
			d.prober.Update(d.probes(d.now))
		}
		if d.certs.Awaited() {
			d.crew.Ping(pingTimeout) // in the order of its orders a loop has the secrets before it answers
		}
		d.certs.Taken(number)
	})
}

// setManaged has what lb has got by itself served beside what is in files. Any goroutine
// may call it.
func (d *desk) setManaged(x acme.Material) (taken <-chan struct{}) {
	m := certs.Managed{Tokens: x.Tokens, Faults: x.Faults}
	for _, c := range x.Certs {
		m.Certs = append(m.Certs, certs.ManagedCert(c))
	}
	taken, err := d.certs.SetManaged(m)
	if err != nil {
		d.log.Error("certificates of tls.acme.names are not taken up", "cause", err, "mend", "the old ones go on; restart lb if this stays")
		none := make(chan struct{})
		close(none)
		return none
	}
	return taken
}
