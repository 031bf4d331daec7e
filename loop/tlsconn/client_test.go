package tlsconn

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestResumption: a client of this package reads the tickets of a server of it, and both
// resume. An event that brings a ticket and nothing else is a read of nothing.
func TestResumption(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 3 {
		d := newDuo(t, false)
		d.shake(t, server, client)
		s, c := d.ends[0], d.ends[1]
		var buf [10]byte
		d.until(t, c.Readable)
		if n, err := c.Read(buf[:]); n != 0 || err != nil || c.Readable() || c.PeerShut() {
			t.Errorf("a ticket reads as %d bytes, %v; readable %t", n, err, c.Readable())
		}
		for _, end := range []*part{s, c} {
			if got := end.tls.State(); got.DidResume != (i > 0) || !got.HandshakeComplete {
				t.Errorf("resumed %t in round %d", got.DidResume, i)
			}
		}
	}
}

// openssl starts s_client against a server of r, or skips the test.
func openssl(t *testing.T, r *rig, args ...string) (in io.WriteCloser, out io.Reader) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pki().Certificate[0]})
	if err := os.WriteFile(ca, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"s_client", "-connect", ln.Addr().String(), "-servername", "lb.test", "-CAfile", ca, "-verify_return_error", "-brief"}, args...)...)
	if in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		kill.Stop()
	})
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := r.serve(dup(t, c.(*net.TCPConn)), serverConfig(), echo())
	if err := <-s.shaken; err != nil {
		t.Fatal(err)
	}
	return in, out
}

// TestKeyUpdate: a peer that renews its keys, and asks for ours to be renewed, is served on.
func TestKeyUpdate(t *testing.T) {
	r := newRig(t)
	in, out := openssl(t, r, "-tls1_3")
	lines := bufio.NewScanner(out)
	await := func(want string) {
		for lines.Scan() && lines.Text() != want { // it says more than it gets
		}
		if lines.Text() != want {
			t.Fatalf("%q does not come", want)
		}
	}
	for i := range 5 {
		line := fmt.Sprintf("line %d", i)
		fmt.Fprintln(in, line)
		await(line)
		fmt.Fprintln(in, "K") // renew both
		await("KEYUPDATE")
	}
}
