//go:build !invariants

package invariant

// On is true in builds with the tag "invariants".
const On = false

// Check panics with what when ok is false, in builds with the tag "invariants".
func Check(bool, string) {}
