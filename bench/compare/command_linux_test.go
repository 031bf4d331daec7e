package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/bench/report"
	"lb/internal/testkit"
)

// patience is the longest that anything may take here, even a whole run.
const patience = 4 * time.Minute

// marker is in the environment of a command under test and of its children.
const marker = "LB_COMPARE_TEST"

// asCommand makes the test binary run the command.
const asCommand = "LB_COMPARE_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// lbFile builds lb.
func lbFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lb")
	if out, err := exec.Command("go", "build", "-o", file, "../..").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

// commandRun is one command under test.
type commandRun struct {
	cmd    *exec.Cmd
	out    bytes.Buffer
	mark   string
	exited chan error
}

func startCommand(t *testing.T, argv ...string) *commandRun {
	t.Helper()
	r := &commandRun{mark: fmt.Sprintf("%s=%s-%d", marker, t.Name(), os.Getpid()), exited: make(chan error, 1)}
	r.cmd = exec.Command(os.Args[0], argv...)
	// With -race a process sleeps for a second at its end, by default.
	r.cmd.Env = append(os.Environ(), asCommand+"=1", r.mark, "TMPDIR="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	r.cmd.WaitDelay = time.Second
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.exited <- r.cmd.Wait() }()
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		for pid, line := range r.alive("") {
			t.Errorf("process %d is left: %q", pid, line)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return r
}

// alive returns the processes of the run whose command line contains part.
func (r *commandRun) alive(part string) map[int]string {
	found := make(map[int]string)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, _ := os.ReadFile(dir + "/environ")
		if !strings.Contains("\x00"+string(env), "\x00"+r.mark+"\x00") {
			continue
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && strings.Contains(string(line), part) {
			found[pid] = string(line)
		}
	}
	return found
}

// await waits until ok, and fails the test if that takes too long.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// wantNoneLeft waits until no process of the run is left. A killed process may take
// a moment to end.
func (r *commandRun) wantNoneLeft(t *testing.T) {
	t.Helper()
	await(t, "the end of all processes", func() bool { return len(r.alive("")) == 0 })
}

// wait returns the exit code.
func (r *commandRun) wait(t *testing.T) int {
	t.Helper()
	select {
	case err := <-r.exited:
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		left := r.alive("")
		r.cmd.Process.Signal(syscall.SIGQUIT) // the Go runtime prints where each goroutine is
		<-r.exited
		t.Fatalf("the command has not ended in %v; there are %v\n%s", patience, left, &r.out)
	}
	return -1
}

// tiny is the flags of a run that is as short as possible.
func tiny(t *testing.T, lb string, more ...string) []string {
	return append([]string{"--lb", lb, "--proxies", "lb-mt,relay", "--scenario", "small", "--rounds", "2", "--seconds", "0.5",
		"--out", filepath.Join(t.TempDir(), "out", "r")}, more...)
}

// h2Cases returns cases of HTTP/2, if they can be measured here.
func h2Cases() string {
	if lookUp("h2load") == "" {
		return ""
	}
	return ",h2-1x100,h2-tls-16x16,h2c-grpc-1x100"
}

func TestRunToTheEnd(t *testing.T) {
	testkit.Long(t)
	out := filepath.Join(t.TempDir(), "new", "r")
	argv := tiny(t, lbFile(t), "--proxies", "direct,relay,lb-mp", "--scenario", "small,rate,unix,tls-resumed,tls-flood"+h2Cases(), "--rounds", "1", "--out", out)
	r := startCommand(t, argv...)
	code := r.wait(t)
	if code != 0 && strings.Contains(r.out.String(), "no answers") { // others had the machine for that long
		r = startCommand(t, append(argv, "--seconds", "4")...)
		code = r.wait(t)
	}
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, &r.out)
	}
	bad, starved := badRounds(t, out)
	if starved { // for so long that the kernel counts no tick
		r.wantNoneLeft(t)
		if r = startCommand(t, append(argv, "--seconds", "4")...); r.wait(t) != 0 {
			t.Fatalf("the second run:\n%s", &r.out)
		}
		bad, _ = badRounds(t, out)
	}
	for _, b := range bad {
		t.Error(b)
	}
	for _, suffix := range []string{".md", ".csv", "-summary.svg", "-cost.svg", "-latency.svg"} {
		if info, err := os.Stat(out + suffix); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", suffix, err)
		}
	}
	r.wantNoneLeft(t)
}

// badRounds returns the rounds that lack a figure or have errors. starved reports whether all
// that they lack is CPU time.
func badRounds(t *testing.T, out string) (bad []string, starved bool) {
	t.Helper()
	kept, err := report.Read(out + ".json")
	if err != nil {
		t.Fatal(err)
	}
	starved = true
	for _, c := range kept.Cases {
		for _, p := range c.Proxies {
			d := p.Rounds[0]
			wrong := d.Requests == 0 || d.Errors != 0 || d.Throughput == 0 || p.Name != "direct" && d.Memory == 0
			if wrong || p.Name != "direct" && d.User+d.System == 0 {
				bad, starved = append(bad, fmt.Sprintf("%s, %s: %+v", c.Name, p.Name, d)), starved && !wrong
			}
		}
	}
	return bad, starved && len(bad) > 0
}

func TestInterruptedLeavesNothing(t *testing.T) {
	testkit.Long(t)
	lb := lbFile(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		r := startCommand(t, tiny(t, lb, "--seconds", "600", "--proxies", "lb-mp,lb-mt,relay")...)
		await(t, "load", func() bool { return len(r.alive(asLoad)) > 0 })
		r.cmd.Process.Signal(sig)
		if code := r.wait(t); code != exitInterrupted {
			t.Errorf("%v: exit code %d, want %d:\n%s", sig, code, exitInterrupted, &r.out)
		}
		r.wantNoneLeft(t)
	}
}

// A killed command can do nothing; the kernel signals its children.
func TestKilledLeavesNothing(t *testing.T) {
	r := startCommand(t, tiny(t, lbFile(t), "--seconds", "600", "--proxies", "lb-mp,lb-mt,relay")...)
	await(t, "load", func() bool { return len(r.alive(asLoad)) > 0 })
	r.cmd.Process.Kill()
	r.wait(t)
	r.wantNoneLeft(t)
}

func TestFailureLeavesNothing(t *testing.T) {
	r := startCommand(t, tiny(t, "/bin/false", "--proxies", "relay,lb-mt")...)
	if code := r.wait(t); code != exitFault || !strings.Contains(r.out.String(), "lb-mt has ended") {
		t.Errorf("an lb that ends at once: exit code %d:\n%s", code, &r.out)
	}
	r.wantNoneLeft(t)
}

func TestUsage(t *testing.T) {
	for _, argv := range [][]string{{"--scenario", "tiny"}, {"--proxies", "apache"}, {"--rounds", "0"}, {"--seconds", "NaN"}, {"--nothing"}, {"word"}} {
		r := startCommand(t, argv...)
		if code := r.wait(t); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d:\n%s", argv, code, exitUsage, &r.out)
		}
	}
}
