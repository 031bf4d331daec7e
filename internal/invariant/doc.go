// Package invariant checks for our own mistakes. Built with the tag "invariants" a
// failed check panics. Without it On is a false constant, so the compiler drops the
// check and it costs nothing. Never check bytes from the network this way: a bad
// message gets a reply or a close.
package invariant
