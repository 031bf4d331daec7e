// Package acme gets certificates and renews them, by certmagic, in the supervisor alone.
// It knows neither loops nor files of certificates: what is to be served goes to
// Options.Publish. Accounts, orders, renewal and retries are certmagic's.
//
// # How a challenge reaches the loops
//
// certmagic leaves each challenge in the storage, for other machines that share it, and
// then listens on a port to answer it. Here the loops answer, and the storage is how they
// get it: the challenges that are published are the files of that folder. One that this
// process writes is published before the authority is asked to look; those of others are
// found by looking every second, so a process waits for a moment after writing one. The
// address that certmagic would listen on is taken already, by a socket of ours that
// accepts nothing, which it takes for a server that answers.
package acme
