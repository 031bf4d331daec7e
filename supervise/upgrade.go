package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"lb/admin/api"
	"lb/internal/filewatch"
	"lb/internal/host"
	"lb/supervise/handover"
	"lb/supervise/queue"
)

// upgrading is an upgrade under way.
type upgrading struct {
	*handover.Upgrade
	done func(api.Upgraded, error) // called once, on the desk
}

// beginUpgrade begins to replace this process by the program at binary, or by the
// one at the path that this process was started from if binary is "". It calls done
// on the desk: when the new process has taken over and this one has begun to drain,
// or with the reason why this one goes on. The desk works meanwhile.
func (d *desk) beginUpgrade(binary string, done func(api.Upgraded, error)) {
	if binary == "" {
		binary = d.program
	}
	m, err := d.newUpgrade(done)
	if err != nil {
		d.upgradeFailed(binary, err)
		done(api.Upgraded{}, err)
		return
	}
	d.log.Info("upgrade begins", "binary", binary)
	d.moving = m
	d.publish()
	m.Begin(binary, func(cancelled <-chan struct{}) {
		d.queue.Tell("upgrading", cancelled, func() { d.endUpgrade(binary, m) })
	})
}

// newUpgrade collects what is to be handed over.
func (d *desk) newUpgrade(done func(api.Upgraded, error)) (*upgrading, error) {
	switch {
	case os.Getpid() == 1:
		return nil, errors.New("lb is process 1 here, with which all others end; start the container anew instead")
	case d.moving != nil:
		return nil, errors.New("an upgrade is under way already")
	case d.isDraining():
		return nil, queue.ErrEnding
	case !filewatch.IsFile(d.now.Config.Source):
		return nil, fmt.Errorf("%s cannot be read again by a new process; start lb with a file", d.now.Config.Source)
	}
	h := handover.Holdings{
		Number:       d.now.Number,
		Registry:     d.registry,
		Certs:        d.certs.HandOver(),
		Members:      d.hub.Export(),
		Board:        d.boardFile,
		Admin:        d.operator.adminListener,
		AdminAddress: d.now.Config.Admin.Address,
		Runtime:      d.operator.runtimeListener,
		RuntimePath:  d.operator.runtimePath,
		Sets:         d.ports.All(),
	}
	u, err := handover.NewUpgrade(h, cmp.Or(d.o.UpgradeTimeout, api.UpgradeMax))
	if err != nil {
		return nil, err
	}
	return &upgrading{u, done}, nil
}

// endUpgrade acts on the outcome of m; it runs on the desk.
func (d *desk) endUpgrade(binary string, m *upgrading) {
	d.moving = nil
	if err := m.Err(); err != nil {
		d.upgradeFailed(binary, err)
		if err := host.WritePID(d.pidFile); err != nil { // the new process may have written it
			d.log.Error("pid file is lost", "file", d.pidFile, "cause", err, "mend", "let the user of lb write there, then reload")
		}
		m.done(api.Upgraded{}, err)
		return
	}
	pid, version := m.Successor()
	d.log.Info("upgraded, draining", "pid", pid, "version", version, "timeout", d.now.Config.Timeouts.Drain)
	d.release(m)
	d.finish(false)
	d.ending.replaced = true
}

// release leaves to the new process what only one of the two can have.
func (d *desk) release(m *upgrading) {
	d.operator.leavePath(m.TookRuntime())
	pid, version := m.Successor()
	d.notifier.HandOver(pid)
	m.Release()
	d.operator.stopListening() // first: a command that follows the answer is the new process's
	m.done(api.Upgraded{PID: pid, Version: version}, nil)
	d.ports.HandOver(m.Left)
	if d.prober != nil {
		d.prober.Close()
		d.prober = nil
	}
	d.accessLog.Leave()
	d.notices.Close() // the new process reads the same board
}

// cancelUpgrade ends an upgrade that is under way because this process is to end.
// A new process that has taken over already goes on.
func (d *desk) cancelUpgrade() {
	m := d.moving
	if m == nil {
		return
	}
	d.moving = nil
	m.Cancel()
	if m.Err() == nil {
		d.release(m)
		return
	}
	m.done(api.Upgraded{}, queue.ErrEnding)
}

// upgradeFailed notes that this process goes on.
func (d *desk) upgradeFailed(binary string, err error) {
	d.outcome.upgradeFailed(err)
	d.log.Error("upgrade failed, this process goes on", "binary", binary, "cause", err, "mend", "try the binary by hand (lb check), then lb upgrade again")
	d.publish()
	d.file.Poke() // a change of the file was left to the new process
	d.takeMembers()
}
