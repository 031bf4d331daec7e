// Package proxyproto reads and writes the headers of the PROXY protocol, versions 1 and 2
// (proxy-protocol.txt of HAProxy): the addresses of a client's conn, which a proxy puts before
// the first byte that it passes on. It does not know which peers may send one.
//
// github.com/pires/go-proxyproto reads from a bufio.Reader, and blocks until a header is whole:
// that is not for a loop. So this is our own, and fuzzed.
package proxyproto
