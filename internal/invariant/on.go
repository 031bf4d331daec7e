//go:build invariants

package invariant

// On is true in builds with the tag "invariants".
const On = true

// Check panics with what when ok is false.
func Check(ok bool, what string) {
	if !ok {
		panic("invariant: " + what)
	}
}
