package supervise

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lb/config"
	"lb/config/socketpath"
	"lb/supervise/handover"
)

// closeTimeout is how long an operator's request may go on at the end.
const closeTimeout = time.Second

// operator is the two servers that an operator talks to: one on an address, and
// one for commands on a unix socket. It belongs to the desk.
type operator struct {
	log       *slog.Logger
	makeAdmin func(cfg *config.Config) Admin // nil if there is never one
	from      *handover.Inheritance          // nil if nothing was handed over

	admin           Admin // nil if the configuration has no address
	adminListener   net.Listener
	runtime         Runtime           // nil before open, and if there is never one
	runtimeListener *net.UnixListener // nil if there is no socket
	runtimePath     string            // that runtimeListener is bound to, or ""
	runtimeFile     fs.FileInfo       // what was at the path when it was bound, or nil
	lost            bool              // the socket is gone and cannot be made again, which was logged

	closing sync.WaitGroup // for servers that were replaced
	forced  atomic.Bool    // a server was closed by force: what it was answering may still look at the board
}

// opened is a server, or its path, and its listener. any is false if the new
// configuration has none.
type opened[S any, L net.Listener] struct {
	at       S
	listener L
	any      bool
}

// open makes both servers for the first time. They do not serve yet. makeRuntime
// is nil if there is no server for commands.
func (o *operator) open(cfg *config.Config, makeRuntime func() Runtime) error {
	var ignored []func() // close closes what was opened
	if o.makeAdmin != nil {
		var a opened[Admin, net.Listener]
		if err := o.listenAdmin(cfg, &a, &ignored); err != nil {
			return err
		}
		o.setAdmin(&a)
	}
	if makeRuntime != nil {
		o.runtime = makeRuntime()
		var r opened[string, *net.UnixListener]
		if err := o.listenRuntime(cfg, &r, &ignored); err != nil {
			return err
		}
		o.setRuntime(&r)
	}
	return nil
}

// prepareAdmin opens the address of cfg, or returns nil if it is that of old. undo
// gets what closes it again.
func (o *operator) prepareAdmin(cfg, old *config.Config, undo *[]func()) (*opened[Admin, net.Listener], error) {
	if o.makeAdmin == nil || cfg.Admin.Address == old.Admin.Address {
		return nil, nil
	}
	a := &opened[Admin, net.Listener]{}
	return a, o.listenAdmin(cfg, a, undo)
}

// listenAdmin makes a server for the address of cfg, if there is one, that
// listens and does not serve yet.
func (o *operator) listenAdmin(cfg *config.Config, to *opened[Admin, net.Listener], undo *[]func()) (err error) {
	if cfg.Admin.Address == "" {
		return nil
	}
	a := o.makeAdmin(cfg)
	if to.listener = o.from.TakeAdmin(cfg.Admin.Address); to.listener == nil {
		if to.listener, err = a.Listen(o.address()); err != nil {
			return err
		}
	}
	to.at, to.any = a, true
	*undo = append(*undo, func() { to.listener.Close() })
	return nil
}

// prepareRuntime opens the socket for commands at its new path, also if that was
// not possible before. It returns nil if the path stays.
func (o *operator) prepareRuntime(cfg *config.Config, undo *[]func()) (*opened[string, *net.UnixListener], error) {
	if o.runtime == nil || socketPath(cfg) == o.runtimePath {
		return nil, nil
	}
	r := &opened[string, *net.UnixListener]{}
	return r, o.listenRuntime(cfg, r, undo)
}

func socketPath(cfg *config.Config) string {
	return socketpath.Primary(cfg, os.Getenv, os.Geteuid() == 0)
}

// listenRuntime opens the socket for commands, if there is to be one. Unless the
// configuration names it, lb does without a socket that cannot be opened.
func (o *operator) listenRuntime(cfg *config.Config, to *opened[string, *net.UnixListener], undo *[]func()) (err error) {
	path := socketPath(cfg)
	if path == "" {
		return nil
	}
	if to.listener = o.from.TakeRuntime(path); to.listener == nil {
		if to.listener, err = o.runtime.Listen(path); err != nil {
			if cfg.Admin.Socket == "" {
				o.log.Warn("no socket for commands", "path", path, "cause", err, "mend", `set [admin] socket = "/path/lb.sock"`)
				return nil
			}
			return err
		}
	}
	to.at, to.any = path, true
	*undo = append(*undo, func() { to.listener.Close() })
	return nil
}

func (o *operator) setAdmin(a *opened[Admin, net.Listener]) {
	o.admin, o.adminListener = nil, nil
	if a.any {
		o.admin, o.adminListener = a.at, a.listener
	}
}

func (o *operator) setRuntime(r *opened[string, *net.UnixListener]) {
	o.runtimeListener, o.runtimePath, o.runtimeFile, o.lost = nil, "", nil, false
	if r.any {
		o.runtimeListener, o.runtimePath = r.listener, r.at
		o.runtimeFile, _ = os.Lstat(r.at)
	}
}

// mendRuntime opens the socket for commands again if its path is gone, which a program
// that tidies up may have caused. What another program has put there stays.
func (o *operator) mendRuntime() {
	if o.runtimeListener == nil {
		return
	}
	info, err := os.Lstat(o.runtimePath)
	if err == nil && (o.runtimeFile == nil || os.SameFile(info, o.runtimeFile)) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	var l *net.UnixListener
	if err != nil {
		l, err = o.runtime.Listen(o.runtimePath)
	} else {
		err = errors.New("another file is there")
	}
	if err != nil {
		if !o.lost {
			o.log.Warn("socket for commands is gone", "path", o.runtimePath, "cause", err, "mend", "remove what is there, or let the user of lb write there")
		}
		o.lost = true
		return
	}
	o.swapRuntime(&opened[string, *net.UnixListener]{at: o.runtimePath, listener: l, any: true})
	o.log.Warn("socket for commands was gone, and is there again", "path", o.runtimePath, "mend", "leave it out of what tidies up")
}

// closeRuntime stops listening for commands. The path goes with it only if it is ours.
func (o *operator) closeRuntime() {
	info, err := os.Lstat(o.runtimePath)
	if err != nil || o.runtimeFile == nil || !os.SameFile(info, o.runtimeFile) {
		o.runtimeListener.SetUnlinkOnClose(false)
	}
	o.runtimeListener.Close()
}

// serve has both servers serve.
func (o *operator) serve() {
	if o.admin != nil {
		o.admin.Serve(o.adminListener)
	}
	if o.runtimeListener != nil {
		o.runtime.Serve(o.runtimeListener)
	}
}

// swap puts what a reload has prepared in the place of the old servers; nil leaves
// one as it is.
func (o *operator) swap(a *opened[Admin, net.Listener], r *opened[string, *net.UnixListener]) {
	if a != nil {
		o.swapAdmin(a)
	}
	if r != nil {
		o.swapRuntime(r)
	}
}

// swapAdmin serves at another address. The old server no longer listens when this returns:
// with its port shared, the system would still give it conns.
func (o *operator) swapAdmin(a *opened[Admin, net.Listener]) {
	old := o.admin
	if o.setAdmin(a); o.admin != nil {
		o.admin.Serve(o.adminListener)
	}
	if old == nil {
		return
	}
	old.Unlisten()
	o.closing.Go(func() { // answers may take a while
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		o.noteForce(old.Close(ctx))
	})
}

// swapRuntime takes commands at another path. Conns that are open go on: one of
// them may wait for the end of this reload.
func (o *operator) swapRuntime(r *opened[string, *net.UnixListener]) {
	// The old one is closed last: with no listener left, streams would end.
	old := operator{runtimeListener: o.runtimeListener, runtimePath: o.runtimePath, runtimeFile: o.runtimeFile}
	if o.setRuntime(r); o.runtimeListener != nil {
		o.runtime.Serve(o.runtimeListener)
	}
	if old.runtimeListener != nil {
		old.closeRuntime()
	}
}

// address returns where the server with an address listens, or nil if there is
// none.
func (o *operator) address() net.Addr {
	if o.admin == nil {
		return nil
	}
	return o.adminListener.Addr()
}

// setDraining has the operator's server show that lb drains.
func (o *operator) setDraining() {
	if o.admin != nil {
		o.admin.SetDraining(true)
	}
}

// leavePath sets whether the path of the socket for commands stays when its listener
// is closed, because the new process uses it.
func (o *operator) leavePath(stays bool) {
	if o.runtimeListener != nil {
		o.runtimeListener.SetUnlinkOnClose(!stays)
	}
}

// stopListening leaves new conns to the new process. Open ones, the conn that
// asked for the upgrade among them, are answered until the end.
func (o *operator) stopListening() {
	if o.runtimeListener != nil {
		o.closeRuntime()
	}
	if o.adminListener != nil {
		o.adminListener.Close()
	}
}

// close ends both servers, by force when ctx is done.
func (o *operator) close(ctx context.Context) {
	if o.runtimeListener != nil {
		o.closeRuntime()
		o.runtimeListener = nil
	}
	if o.runtime != nil {
		o.noteForce(o.runtime.Close(ctx))
	}
	if o.admin != nil {
		o.noteForce(o.admin.Close(ctx))
		o.adminListener.Close() // the server does not know it before Serve
		o.admin, o.adminListener = nil, nil
	}
}

// wait returns when the servers that were replaced have ended.
func (o *operator) wait() { o.closing.Wait() }

// noteForce notes that a server was closed by force, which an error of its Close
// says.
func (o *operator) noteForce(err error) {
	if err != nil {
		o.forced.Store(true)
	}
}
