package shake

import (
	"testing"

	"lb/proxy/front"
)

// TestTrim: what handshakes have left to the collector is reported when a rush is over, or has
// gone on for a while, and when it is a good part of what there is to collect.
func TestTrim(t *testing.T) {
	for _, tc := range []struct {
		name    string
		clients int
		shaken  []int // between two calls
		left    []int // handshakes that are reported
	}{
		{"none", 10, []int{0, 0}, []int{0, 0}},
		{"a rush", 1000, []int{1000, 0, 0}, []int{0, 1000, 0}},
		{"a rush that ends slowly", 1000, []int{800, 100, 80, 0}, []int{0, 900, 0, 0}},
		{"a steady flow", 100, []int{100, 100, 100, 100, 100, 100}, []int{0, 0, 0, 0, 500, 0}},
		{"a few among many clients", 1000, []int{100, 0, 100, 0, 100, 0}, []int{0, 0, 0, 0, 0, 300}},
	} {
		s := &Server{Shared: &front.Shared{Clients: tc.clients}}
		for i, n := range tc.shaken {
			s.late += n
			if left := s.Trim(); left != tc.left[i]*leftBytes {
				t.Errorf("%s, %d: %d bytes are left, want those of %d handshakes", tc.name, i, left, tc.left[i])
			}
		}
	}
}
