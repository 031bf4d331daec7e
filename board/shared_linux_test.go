package board

import "testing"

// TestSealed: a process that holds the file cannot cut it short under the
// others, which would kill them with SIGBUS at their next count.
func TestSealed(t *testing.T) {
	b, f := create(t, 1, 1)
	if err := f.Truncate(0); err == nil {
		t.Fatal("the file could be cut short")
	}
	b.Loop(0).Requests.Add(1)
}
