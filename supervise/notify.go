package supervise

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifyEnv is where systemd, or who acts for it, wants to be told.
const notifyEnv = "NOTIFY_SOCKET"

// notifyTimeout is how long systemd may leave a message unread.
const notifyTimeout = time.Second

// notifier tells systemd what this process is doing, sd_notify(3), in the order
// of the calls, which are the desk's. Without a systemd that wants to know it
// does nothing. It opens the socket for every message: systemd may be replaced.
type notifier struct {
	addr string // "" for nobody, or nobody any more
	log  *slog.Logger
}

func newNotifier(log *slog.Logger) *notifier {
	return &notifier{addr: os.Getenv(notifyEnv), log: log}
}

// ready says that what was asked for, a start or a reload, is done.
func (n *notifier) ready(status string) { n.send(daemon.SdNotifyReady, "STATUS="+status) }

// reloading says that a reload has begun; ready ends it, also when it failed. The
// time of CLOCK_MONOTONIC, at, says which reload is meant.
func (n *notifier) reloading(at time.Duration) {
	n.send(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", at.Microseconds()))
}

// stopping says that the drain has begun.
func (n *notifier) stopping() { n.send(daemon.SdNotifyStopping, "STATUS=draining") }

// alive is for the watchdog.
func (n *notifier) alive() { n.send(daemon.SdNotifyWatchdog) }

// isMain says that this process is the one that matters.
func (n *notifier) isMain() { n.send(mainPID(os.Getpid())) }

// handOver says that process pid is the one that matters from now on, and that is
// the last that is heard of this one.
func (n *notifier) handOver(pid int) {
	n.send(mainPID(pid))
	n.addr = ""
}

func mainPID(pid int) string { return fmt.Sprintf("MAINPID=%d", pid) }

func (n *notifier) send(lines ...string) {
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
		n.log.Warn("systemd cannot be told", "what", lines[0], "cause", err)
	}
}

// watchdogEvery returns how often systemd wants to hear that this process is
// alive, which is half of what it waits for; 0: never.
func watchdogEvery(log *slog.Logger) time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false) // a successor needs to know, too
	if err != nil {
		log.Warn("no watchdog", "cause", err)
	}
	return interval / 2
}
