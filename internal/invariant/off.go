//go:build !invariants

package invariant

// On reports whether this build has the tag "invariants".
const On = false

// Check panics with what if ok is false, in builds with the tag "invariants".
func Check(bool, string) {}
