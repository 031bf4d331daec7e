package supervise

// certsChanged brings other certificates, tokens or keys of tickets to the desk.
func (d *desk) certsChanged(cancelled <-chan struct{}) {
	d.queue.tell("taking up certificates", cancelled, func() {
		secrets := d.certs.Secrets()
		if d.ending != nil || secrets == nil || secrets == d.now.Secrets {
			return
		}
		d.setNow(d.now.WithSecrets(secrets))
		d.crew.SetSecrets(secrets)
		d.prober.Update(d.probes(d.now))
		if d.certs.Awaited() {
			d.crew.Ping(pingTimeout) // in the order of its orders a loop has the secrets before it answers
		}
		d.certs.Taken(secrets.Number)
	})
}
