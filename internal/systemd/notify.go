// Package systemd talks to systemd, or to a program that acts for it: it notifies
// about the state of the service, feeds the watchdog, and takes the sockets of
// socket activation. It does not know what the service does.
package systemd

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifyEnv is the variable that names the socket of systemd.
const notifyEnv = "NOTIFY_SOCKET"

// notifyTimeout is how long systemd may leave a message unread.
const notifyTimeout = time.Second

// Notifier tells systemd what this process is doing, sd_notify(3), in the order of the
// calls, which come from one goroutine. Without systemd it does nothing. It opens the
// socket for every message, because systemd may be replaced.
type Notifier struct {
	addr string // "" if there is no systemd, or no longer for this process
	log  *slog.Logger
}

// NewNotifier returns a Notifier to the systemd that the environment names, if any. log
// gets what could not be sent.
func NewNotifier(log *slog.Logger) *Notifier {
	return &Notifier{addr: os.Getenv(notifyEnv), log: log}
}

// Ready says that what was asked for, a start or a reload, is done.
func (n *Notifier) Ready(status string) { n.send(daemon.SdNotifyReady, "STATUS="+status) }

// Reloading says that a reload has begun, at a time of CLOCK_MONOTONIC, by which systemd
// tells reloads apart. Ready ends it, also if it failed.
func (n *Notifier) Reloading(at time.Duration) {
	n.send(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", at.Microseconds()))
}

// Stopping says that the drain has begun.
func (n *Notifier) Stopping() { n.send(daemon.SdNotifyStopping, "STATUS=draining") }

// Alive says to the watchdog that all is well.
func (n *Notifier) Alive() { n.send(daemon.SdNotifyWatchdog) }

// IsMain says that this is the main process of the service.
func (n *Notifier) IsMain() { n.send(mainPID(os.Getpid())) }

// HandOver says that process pid is the main one from now on. It is the last message of
// this process.
func (n *Notifier) HandOver(pid int) {
	n.send(mainPID(pid))
	n.addr = ""
}

func mainPID(pid int) string { return fmt.Sprintf("MAINPID=%d", pid) }

func (n *Notifier) send(lines ...string) {
	if n.addr == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.addr, Net: "unixgram"})
	if err == nil {
		defer conn.Close()
		conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
		_, err = conn.Write([]byte(strings.Join(lines, "\n")))
	}
	if err != nil {
		n.log.Warn("systemd cannot be told", "what", lines[0], "cause", err, "mend", "see NotifyAccess= of the unit")
	}
}

// WatchdogEvery returns how often to call Alive, which is half of the time that systemd
// waits, or 0 if there is no watchdog.
func WatchdogEvery(log *slog.Logger) time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false) // a new process after an upgrade needs it, too
	if err != nil {
		log.Warn("no watchdog", "cause", err, "mend", "see WatchdogSec= of the unit")
	}
	return interval / 2
}
