//go:build invariants

package invariant

// On reports whether this build has the tag "invariants".
const On = true

// Check panics with what if ok is false, in builds with the tag "invariants".
func Check(ok bool, what string) {
	if !ok {
		panic("invariant: " + what)
	}
}
