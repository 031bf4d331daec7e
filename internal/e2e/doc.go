// Package e2e holds tests of lb as its users meet it: the binary, started with an
// lb.toml, real sockets, and clients and backends that others have written (curl,
// net/http, a WebSocket library). Every test runs in mt and in mp, with two loops.
// It knows nothing of lb's packages; backends, which it forwards to at times, is a
// server like any other.
//
// # Why the binary is built by the tests
//
// The test binary cannot be lb, as in package main's tests, because nobody can
// import package main. So TestMain builds it, in the same way as the tests were
// built: with the race detector and the tags that they have. `go test` does not
// see that the result depends on lb's sources; TestMain lists their directories,
// and what a test looks at is part of what `go test` caches its result by.
package e2e
