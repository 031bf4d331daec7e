package handover

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/internal/ipc"
	"lb/internal/testkit"
	"lb/supervise/listen"
	"lb/supervise/plan"
	"lb/supervise/supervisetest"
)

// handing is everything that one process can hand over to another.
type handing struct {
	board    *board.Board
	file     *os.File
	sets     []*listen.Set
	admin    net.Listener
	runtime  *net.UnixListener
	contents *contents
	upgrade  *Upgrade
	registry *plan.Registry // that arrives
}

func newHanding(t *testing.T) *handing {
	t.Helper()
	h := &handing{registry: plan.NewRegistry(), contents: &contents{Protocol: protocol, Number: 7, Certs: json.RawMessage(`{"a":1}`), Admin: "127.0.0.1:0"}}
	var err error
	if h.board, h.file, err = board.Create(board.Size{Loops: 4, Backends: 16, Series: 4}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.board.Close(); h.file.Close() })
	for _, n := range []int{3, 1} {
		ls := openSockets(t, n)
		t.Cleanup(ls.Close)
		h.sets = append(h.sets, ls)
	}
	h.sets[1].Systemd, h.sets[1].Shared, h.sets[1].Configured = true, true, ""
	if h.admin, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.admin.Close() })
	h.contents.Runtime = filepath.Join(t.TempDir(), "lb.sock")
	if h.runtime, err = net.ListenUnix("unix", &net.UnixAddr{Name: h.contents.Runtime, Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.runtime.Close() })
	reg := plan.NewRegistry()
	reg.Next, reg.InUse["api\x00a:1"], reg.Retired = 9, plan.Registered{ID: 4, Weight: 2}, []plan.Retired{{Key: "api\x00b:1", ID: 5, By: 6}}
	if h.contents.Registry, err = json.Marshal(reg); err != nil {
		t.Fatal(err)
	}
	h.upgrade = &Upgrade{contents: h.contents, fds: []int{int(h.file.Fd())}}
	for _, l := range []net.Listener{h.admin, h.runtime} {
		if err := h.upgrade.addListener(l); err != nil {
			t.Fatal(err)
		}
	}
	for _, ls := range h.sets {
		h.upgrade.addSet(ls)
	}
	t.Cleanup(h.upgrade.closeDups)
	return h
}

// openSockets returns n listening sockets at a free port.
func openSockets(t *testing.T, n int) *listen.Set {
	t.Helper()
	a, err := listen.Resolve(t.Context(), net.DefaultResolver, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ls, err := a.Open(t.Context(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

// pass hands h over to this very process.
func (h *handing) pass(t *testing.T, fds []int) (in *Inheritance, old *ipc.Channel, err error) {
	t.Helper()
	old, theirs, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	defer theirs.Close()
	fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(ipc.UpgradeEnv, strconv.Itoa(fd))
	sent := make(chan error, 1)
	go func() {
		var hello progress
		if _, err := old.Receive(&hello); err != nil || !hello.Hello {
			t.Errorf("the new process says %+v, %v; want hello first", hello, err)
		}
		sent <- old.Send(h.contents, fds...)
	}()
	in, err = Inherit(h.registry)
	if sendErr := <-sent; sendErr != nil {
		t.Fatal(sendErr)
	}
	if os.Getenv(ipc.UpgradeEnv) != "" {
		t.Errorf("%s is still there, for workers to find", ipc.UpgradeEnv)
	}
	return in, old, err
}

// Everything that is handed over arrives: the same sockets, the same board, every word.
func TestHandover(t *testing.T) {
	h := newHanding(t)
	in, old, err := h.pass(t, h.upgrade.fds)
	if err != nil {
		t.Fatal(err)
	}
	defer in.drop()
	defer in.Close()
	if string(in.Certs) != `{"a":1}` {
		t.Errorf("of certificates %s arrives", in.Certs)
	}
	if in.Number != 7 || h.registry.Next != 9 || h.registry.InUse["api\x00a:1"].ID != 4 || h.registry.Retired[0].By != 6 {
		t.Errorf("number %d, registry %+v", in.Number, h.registry)
	}
	h.board.ClaimLoop(1)
	h.board.Loop(1).Requests.Add(5)
	if got := in.Board.Loop(1).Requests.Load(); got != 5 {
		t.Errorf("the board has %d requests, want the 5 counted elsewhere", got)
	}
	for i, ls := range in.Sets {
		was := h.sets[i]
		if ls.Addr != was.Addr || ls.Configured != was.Configured || ls.Shared != was.Shared || ls.Systemd != was.Systemd {
			t.Errorf("set %d: %+v, want %+v", i, ls, was)
		}
		if !slices.EqualFunc(files(ls), files(was), sameSocket) {
			t.Errorf("set %d: other sockets, or in another order", i)
		}
		supervisetest.WantSameOptions(t, files(ls))
		if err := files(ls)[0].SetReadDeadline(time.Now()); err == nil {
			t.Errorf("set %d is known to Go's poller", i)
		}
	}
	if in.TakeAdmin("127.0.0.1:9090") != nil || in.TakeRuntime("/run/other.sock") != nil {
		t.Error("a listener was given to a caller that wants another")
	}
	admin, runtime := in.TakeAdmin("127.0.0.1:0"), in.TakeRuntime(h.contents.Runtime)
	if admin == nil || admin.Addr().String() != h.admin.Addr().String() {
		t.Fatalf("admin listener %v, want that at %v", admin, h.admin.Addr())
	}
	defer admin.Close()
	if runtime == nil || in.TakeAdmin("127.0.0.1:0") != nil || in.TakeRuntime(h.contents.Runtime) != nil {
		t.Fatal("want each listener once")
	}

	talk := letGo(t, old)
	if err := in.Ready("1.2.3"); err != nil {
		t.Fatal(err)
	}
	in.Took(nil)
	if err := <-talk; err != nil {
		t.Error(err)
	}
	h.runtime.SetUnlinkOnClose(false)
	h.runtime.Close()
	c, err := net.Dial("unix", h.contents.Runtime)
	if err != nil {
		t.Fatalf("the socket for commands: %v", err)
	}
	c.Close()
	runtime.Close()
	if _, err := os.Stat(h.contents.Runtime); !os.IsNotExist(err) {
		t.Errorf("the path of the last listener: %v, want it gone", err)
	}
}

// More sockets than one message takes arrive, in their order.
func TestHandoverOfManySockets(t *testing.T) {
	h := newHanding(t)
	for range 3 {
		ls := openSockets(t, 150)
		t.Cleanup(ls.Close)
		h.sets = append(h.sets, ls)
		h.upgrade.addSet(ls)
	}
	in, _, err := h.pass(t, h.upgrade.fds)
	if err != nil {
		t.Fatal(err)
	}
	defer in.drop()
	defer in.Close()
	for i, ls := range in.Sets {
		if !slices.EqualFunc(files(ls), files(h.sets[i]), sameSocket) {
			t.Errorf("set %d: other sockets, or in another order", i)
		}
	}
}

// The old process learns which sets are no longer served, also from a binary that serves one
// and does not say which.
func TestLeft(t *testing.T) {
	sets := []listen.Handed{{Addr: "127.0.0.1:1"}, {Addr: "unix:/run/s"}, {Addr: "127.0.0.1:2"}}
	for name, tc := range map[string]struct {
		text string
		left []int
	}{
		"some":                    {`{"Runtime":true,"Left":false,"Serves":[1,2]}`, []int{0}},
		"none":                    {`{"Left":true}`, []int{0, 1, 2}},
		"one, by an older binary": {`{"Runtime":true,"Left":false}`, []int{1}},
	} {
		u := &Upgrade{contents: &contents{Sets: sets}}
		if err := json.Unmarshal([]byte(tc.text), &u.took); err != nil {
			t.Fatal(err)
		}
		var left []int
		for i := range sets {
			if u.Left(i) {
				left = append(left, i)
			}
		}
		if !slices.Equal(left, tc.left) {
			t.Errorf("%s: %v are left, want %v", name, left, tc.left)
		}
	}
}

// letGo plays the old process: it says go, hears that it may let go, and ends the talk.
func letGo(t *testing.T, old *ipc.Channel) <-chan error {
	talk := make(chan error, 1)
	go func() {
		var r progress
		_, err := old.Receive(&r)
		if err == nil && (r.Ready == nil || r.Ready.Version != "1.2.3") {
			t.Errorf("report %+v, want to be ready", r)
		}
		if err == nil {
			err = old.Send(goOrder{Go: true})
		}
		if err == nil {
			_, err = old.Receive(&r)
		}
		if err == nil && (r.Took == nil || !r.Took.Runtime || !r.Took.Left) {
			t.Errorf("report %+v, want to have taken the socket for commands, and left the others", r)
		}
		old.Close()
		talk <- err
	}()
	return talk
}

func sameSocket(a, b *os.File) bool {
	var infoA, infoB unix.Stat_t
	return unix.Fstat(int(a.Fd()), &infoA) == nil && unix.Fstat(int(b.Fd()), &infoB) == nil && infoA.Ino == infoB.Ino
}

// The old process may be gone at any step; then the new one goes on.
func TestOldProcessGone(t *testing.T) {
	t.Run("before ready", func(t *testing.T) {
		h := newHanding(t)
		in, old, err := h.pass(t, h.upgrade.fds)
		if err != nil {
			t.Fatal(err)
		}
		defer in.drop()
		old.Close()
		if err := in.Ready(""); err != nil {
			t.Error(err)
		}
		in.Took([]int{0})
	})
	t.Run("before go", func(t *testing.T) {
		h := newHanding(t)
		in, old, err := h.pass(t, h.upgrade.fds)
		if err != nil {
			t.Fatal(err)
		}
		defer in.drop()
		go func() {
			old.Receive(&progress{})
			old.Close()
		}()
		if err := in.Ready(""); err != nil {
			t.Error(err)
		}
		in.Took([]int{0})
	})
	t.Run("before anything", func(t *testing.T) {
		old, theirs, err := ipc.Pair()
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		old.Close()
		t.Setenv(ipc.UpgradeEnv, strconv.Itoa(fd))
		if in, err := Inherit(plan.NewRegistry()); in != nil || err == nil || !strings.Contains(err.Error(), "is gone") {
			t.Errorf("%v, %v; want to be told that nobody is there", in, err)
		}
	})
}

// The new process refuses what it cannot take over. The old process hears the reason, too,
// and every descriptor is closed.
func TestHandoverRefused(t *testing.T) {
	otherBoard := func(t *testing.T, h *handing) {
		// The version is the second word. A mapping of one's own does not change the
		// file that the rest of the test uses, so this one is another file.
		path := filepath.Join(t.TempDir(), "board")
		text := make([]byte, 4096)
		if _, err := h.file.ReadAt(text, 0); err != nil {
			t.Fatal(err)
		}
		text[8]++
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		h.upgrade.fds[0] = int(f.Fd())
	}
	for name, tc := range map[string]struct {
		spoil func(*testing.T, *handing)
		want  string
	}{
		"another protocol": {func(_ *testing.T, h *handing) { h.contents.Protocol++ }, "version 2 of the handover, this binary version 1"},
		"one too few":      {func(_ *testing.T, h *handing) { h.upgrade.fds = h.upgrade.fds[1:] }, "6 descriptors were handed over, want 7"},
		"one too many":     {func(_ *testing.T, h *handing) { h.upgrade.fds = append(h.upgrade.fds, 0) }, "8 descriptors were handed over, want 7"},
		"another board":    {otherBoard, "board: layout version"},
		"no board":         {func(_ *testing.T, h *handing) { h.upgrade.fds[0] = h.upgrade.fds[1] }, "board"},
		"odd registry":     {func(_ *testing.T, h *handing) { h.contents.Registry = []byte(`{"Next":"x"}`) }, "registry"},
		"no unix socket":   {func(_ *testing.T, h *handing) { h.upgrade.fds[2] = h.upgrade.fds[1] }, "no unix socket"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHanding(t)
			tc.spoil(t, h)
			before := testkit.OpenFDs()
			in, old, err := h.pass(t, h.upgrade.fds)
			if in != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, %v; want an error with %q", in, err, tc.want)
			}
			var r progress
			if _, rErr := old.Receive(&r); rErr != nil || r.Fault != err.Error() {
				t.Errorf("the old process hears %q, %v; want %q", r.Fault, rErr, err)
			}
			old.Close()
			if after := testkit.OpenFDs(); after != before {
				t.Errorf("%d descriptors are open, before it were %d", after, before)
			}
		})
	}
}

// A variable that lb has not set is refused: lb does not guess.
func TestInheritNothing(t *testing.T) {
	t.Setenv(ipc.UpgradeEnv, "")
	if in, err := Inherit(plan.NewRegistry()); in != nil || err != nil {
		t.Errorf("%v, %v; want nothing", in, err)
	}
	for _, text := range []string{"x", "0", "-1", "1000000", strconv.Itoa(notASocket(t))} {
		t.Setenv(ipc.UpgradeEnv, text)
		if in, err := Inherit(plan.NewRegistry()); in != nil || err == nil || !strings.Contains(err.Error(), ipc.UpgradeEnv) {
			t.Errorf("%s=%s: %v, %v; want an error that names it", ipc.UpgradeEnv, text, in, err)
		}
	}
	ReportFault(os.ErrInvalid) // to nobody
}

// notASocket returns a descriptor that its reader closes.
func notASocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// A fault before Serve reaches the old process.
func TestReportFault(t *testing.T) {
	old, theirs, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(ipc.UpgradeEnv, strconv.Itoa(fd))
	ReportFault(os.ErrInvalid)
	var r progress
	if _, err := old.Receive(&r); err != nil || r.Fault != os.ErrInvalid.Error() {
		t.Errorf("%+v, %v; want the fault", r, err)
	}
	if _, err := old.Receive(&r); err == nil {
		t.Error("want the end after it")
	}
}

// files returns all sockets of ls.
func files(ls *listen.Set) []*os.File { return ls.Deal(1)[0] }
