package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version returns the module's version, or the commit it was built from, with
// the Go release and the platform.
func version() string {
	v := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("%s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
