package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "guard: %v\n", err)
		os.Exit(1)
	}
}

// run is the whole command.
func run(ctx context.Context, argv []string, out io.Writer) error {
	f := flag.NewFlagSet("guard", flag.ContinueOnError)
	write := f.Bool("write", false, "keep the present counts")
	if err := f.Parse(argv); err != nil {
		return err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(root, keptFile)
	now := Counts{Go: runtime.Version()}
	if now.Benchmarks, err = allocations(ctx, root); err != nil {
		return err
	}
	if _, err := exec.LookPath("valgrind"); err != nil {
		fmt.Fprintln(out, "valgrind is not installed, so instructions are not counted; on Debian: apt-get install -y --no-install-recommends valgrind")
	} else if err := instructions(ctx, root, now.Benchmarks); err != nil {
		return err
	}
	if *write {
		return now.write(file)
	}
	kept, err := readCounts(file)
	if err != nil {
		return err
	}
	text, grown := compare(kept, now)
	fmt.Fprint(out, text)
	if grown > 0 {
		return fmt.Errorf("%d counts have grown by more than %g %%; if that is meant: go run ./bench/guard -write", grown, 100*tolerance)
	}
	return nil
}

// moduleRoot returns the directory of the module.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", errors.Join(errors.New("run it inside the module lb"), err)
	}
	return string(out[:len(out)-1]), nil
}
