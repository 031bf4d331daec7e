package ipc

import (
	"slices"
	"strings"
)

// The variables of the environment that mark a process which lb has started
// itself, and which finds one end of a channel among its descriptors.
const (
	// WorkerEnv marks a worker. Its configuration comes over the channel, where no
	// other user of the machine can read it.
	WorkerEnv = "LB_WORKER"
	// UpgradeEnv marks a process that is to replace its parent. Its value is the
	// number of the channel's descriptor.
	UpgradeEnv = "LB_UPGRADE"
)

// Without returns a copy of environ without the variables of these names.
func Without(environ []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
}
