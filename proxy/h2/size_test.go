package h2

import (
	"testing"
	"unsafe"
)

// TestIdleConn: what an idle conn takes beside its TLS, of which an HTTP/2 conn may have 1.3 KB
// with its tables.
func TestIdleConn(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 1100 {
		t.Errorf("a conn is %d bytes", n)
	}
}
