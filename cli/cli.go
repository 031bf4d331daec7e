// Package cli is the command line of lb: it reads flags, wires the packages that do
// the work, and prints what they return. It knows nothing of sockets, processes or
// HTTP.
//
// Every command is a struct of its flags with a method Run, which writes to the
// streams it is given and returns an error, or nil for exit code 0. What an error
// means for the exit code is decided in one place, report.
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"lb/config"
	"lb/supervise"
)

// Exit codes besides those of supervise.Serve.
const (
	exitFault  = 1 // it could not begin: a taken port, a missing file
	exitConfig = 2 // a flag or the configuration is not accepted
)

// exitStatus is the error of a command that has printed everything there is to say:
// only its exit code is left.
type exitStatus int

// Error makes exitStatus an error. It is not printed.
func (e exitStatus) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// streams are what a command writes to.
type streams struct {
	out, err io.Writer
	stream   *os.File // that err writes to in the end; nil before queue, and if there is none
	flush    []func() // called when everything is written
}

// commandLine is what kong reads; docs/configuration.md has its table of flags.
type commandLine struct {
	Serve   serveCmd    `cmd:"" help:"Run the load balancer: forward requests to backends."`
	Check   checkCmd    `cmd:"" help:"Check a configuration file, and the certificates and keys that it names."`
	Status  statusCmd   `cmd:"" help:"Show what a running lb is doing: loops, pools, backends."`
	Top     topCmd      `cmd:"" help:"Watch a running lb: pools, backends and loops, live."`
	Faults  faultsCmd   `cmd:"" help:"Show the last requests that failed or were slow: whose fault, in which phase, at which backend."`
	Trace   traceCmd    `cmd:"" help:"Show the requests of one client, or with one id, as they pass."`
	Reload  reloadCmd   `cmd:"" help:"Make a running lb read its configuration again, and print what changed."`
	Upgrade upgradeCmd  `cmd:"" help:"Replace a running lb with another binary, without refusing or resetting a connection."`
	Drain   drainCmd    `cmd:"" help:"Make a running lb finish its open requests and exit."`
	Config  configCmd   `cmd:"" help:"Show the settings in use, and where they come from."`
	Explain explainCmd  `cmd:"" help:"Show what a running lb would do with a request, and why."`
	Backend backendCmd  `cmd:"" help:"List the backends of a running lb, or change one at run time."`
	Log     logCmd      `cmd:"" name:"log-level" help:"Show or change the level of the log of a running lb."`
	Demo    backendsCmd `cmd:"" name:"demo-backends" help:"Run only the demo backends."`
	Bench   benchCmd    `cmd:"" help:"Measure how fast a URL answers."`
	Trust   trustCmd    `cmd:"" help:"Show how to trust the certificates of lb's internal authority."`
	Version versionCmd  `cmd:"" help:"Print the version."`
	Help    helpCmd     `cmd:"" help:"Show the commands, or what one of them does."`

	Backends backendsCmd `cmd:"" hidden:"" help:"The former name of demo-backends."`

	ShowVersion showVersion `name:"version" help:"Print the version."`
}

// Main is the whole command, with the arguments and streams of this process. A
// process that lb has started as its worker becomes one here. It returns the exit
// code.
func Main() (exitCode int) {
	if supervise.IsWorker() {
		return supervise.Worker()
	}
	return run(os.Args[1:], os.Stdout, os.Stderr)
}

// run parses args, runs the command and returns the exit code.
func run(args []string, stdout, stderr io.Writer) (exitCode int) {
	parser := kong.Must(&commandLine{},
		kong.Name("lb"),
		kong.Description("A load balancer for HTTP and gRPC. To try it: lb serve --demo"),
		kong.Writers(stdout, stderr))
	command, err := parser.Parse(args)
	if err != nil {
		supervise.ReportFault(err) // in an upgrade: the new binary may not know a flag of the old one
		fmt.Fprintf(stderr, "lb: %v; see %s\n", err, helpFor(err))
		return exitConfig
	}
	std := &streams{out: stdout, err: stderr}
	if err := command.Run(std); err != nil {
		exitCode = report(std.err, err)
	}
	for _, flush := range std.flush {
		flush()
	}
	return exitCode
}

// helpFor returns what shows the right usage after err: the help of the command, as far as
// one was named.
func helpFor(err error) string {
	help := "lb"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		for _, p := range parse.Context.Path {
			if p.Command != nil {
				help += " " + p.Command.Name
			}
		}
	}
	return help + " --help"
}

// report writes why a command failed, and returns its exit code.
func report(stderr io.Writer, err error) (exitCode int) {
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if explain(stderr, err) {
		return exitConfig
	}
	return exitFault
}

// explain writes err, a line for each mistake in a configuration, and reports
// whether it is about a configuration.
func explain(stderr io.Writer, err error) (ofConfig bool) {
	var refused config.Errors
	if !errors.As(err, &refused) {
		for line := range strings.Lines(err.Error()) { // of certificates, several
			fmt.Fprintf(stderr, "lb: %s\n", strings.TrimSuffix(line, "\n"))
		}
		return false
	}
	shown, more := refused.Shown()
	for _, e := range shown {
		if e.File == "" {
			fmt.Fprint(stderr, "lb: ") // with a file, the line begins with its name, for editors to find
		}
		fmt.Fprintln(stderr, e)
		printSource(stderr, e)
	}
	if more > 0 {
		fmt.Fprintf(stderr, "lb: and %d more\n", more)
	}
	return true
}

// printJSON writes v for programs to read.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// plural returns the noun for n of them.
func plural[N int | uint64](n N, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// versionCmd is `lb version`.
type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(std *streams) error {
	fmt.Fprintln(std.out, "lb", version())
	return nil
}

// showVersion is `lb --version`.
type showVersion bool

// BeforeReset prints the version and ends; kong calls it before it misses a command.
func (showVersion) BeforeReset(app *kong.Kong) error {
	fmt.Fprintln(app.Stdout, "lb", version())
	app.Exit(0)
	return nil
}

// helpCmd is `lb help`.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command, such as serve, or backend drain."`
}

// Run prints what --help does.
func (h *helpCmd) Run(std *streams) error {
	return exitStatus(run(append(h.Command, "--help"), std.out, std.err))
}

// release is the version that `just build` stamps, because go build leaves it out where it
// finds no repository (a tarball, -buildvcs=false). It is empty in other builds.
var release string

// version returns the release, else the module's version or the commit it was built
// from, with the Go release and the platform.
func version() string {
	v := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	if release != "" {
		v = release
	}
	return fmt.Sprintf("%s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
