package supervise

import (
	"lb/config"
	"lb/internal/filewatch"
)

// trigger is what made lb read its configuration again.
type trigger string

const (
	byCommand trigger = "command"
	bySignal  trigger = "signal"
	byFile    trigger = "file"
	// byWriting is byFile for a file that was written in place: it may be cut off.
	byWriting trigger = "file, written in place"
	// byStore is byFile for a revision in a store of keys.
	byStore trigger = "store"
)

// fileChanged brings to the desk that the file has settled.
func (d *desk) fileChanged(cancelled <-chan struct{}, n filewatch.News) {
	d.queue.Tell("reloading", cancelled, func() {
		if !d.file.IsNew(n) || d.refusal() != nil {
			return
		}
		by := byWriting
		if d.file.Store != nil {
			by = byStore
		} else if n.Swapped {
			by = byFile
		}
		d.reloadFor(by)
	})
}

// taken notes that a configuration is in use.
func (d *desk) taken() {
	d.outcome.taken()
	d.file.Taken()
}

// load reads the configuration again: see conffile.File.Load.
func (d *desk) load() (cfg *config.Config, hash string, err error) {
	return d.file.Load(d.now.Config.Source, d.o.Load)
}
