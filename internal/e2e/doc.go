// Package e2e holds tests of lb as its users meet it: the binary, started with an
// lb.toml, real sockets, and clients and backends that others have written (curl,
// net/http, openssl, Chromium, a WebSocket library). Every test runs in mt and in mp,
// with two loops, and those that use eachListener run with plain clients and over TLS,
// which -short leaves out.
// It knows nothing of lb's packages; backends, which it forwards to at times, is a
// server like any other.
//
// # Why the binary is built by the tests
//
// In cli's tests the test binary is lb itself. Here it is not, so that what is tested
// is what a user starts: TestMain builds the binary as the tests were built, with the
// race detector and the tags that they have. `go test` does not see that the result
// depends on lb's sources. TestMain lists their directories, because `go test` keeps a
// result only as long as what the tests looked at is unchanged.
package e2e
