// Package invariant holds the one check for our own mistakes. Built with the
// tag "invariants" it panics; without it the check costs nothing, because On
// is a false constant and the compiler drops the branch. Bytes from the
// network never reach an invariant: they earn a reply or a close.
package invariant
