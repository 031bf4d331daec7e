package tlsconn

import "testing"

// TestInside fails when a version of Go keeps the buffers elsewhere. All goes on without
// them, with more memory for an idle conn and a copy for each record: look for where they
// are now.
func TestInside(t *testing.T) {
	if rawInputAt == 0 || handAt == 0 {
		t.Error("tls.Conn has no buffers of these names any more")
	}
	if offsetOf("no such") != 0 || offsetOf("conn") != 0 {
		t.Error("a field that is no buffer is taken for one")
	}
}

// TestWithoutInside: the same bytes without the buffers.
func TestWithoutInside(t *testing.T) {
	raw, hand := rawInputAt, handAt
	rawInputAt, handAt = 0, 0
	defer func() { rawInputAt, handAt = raw, hand }()
	t.Run("echo", TestEcho)
}
