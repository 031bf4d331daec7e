package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// A burst meets a unix socket whose accept queue has room for two: all are answered.
func TestFullAcceptQueue(t *testing.T) {
	const burst = 30
	eachMode(t, func(t *testing.T, mode string) {
		path := filepath.Join(t.TempDir(), "s")
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
		p := start(t, mode, setup{backends: to("unix:" + path), admin: true, tables: noHurry})
		conns := open(t, p.addr, burst)
		answers := make(chan error, burst)
		var sent sync.WaitGroup
		for _, c := range conns {
			sent.Add(1)
			go func() {
				_, err := io.WriteString(c, lines("GET / HTTP/1.1", "Host: x", "Connection: close"))
				sent.Done()
				resp, _, err2 := c.try()
				switch {
				case err != nil || err2 != nil:
					err = fmt.Errorf("%v, %v", err, err2)
				case resp.StatusCode != 200:
					err = fmt.Errorf("answered with %s", resp.Status)
				}
				answers <- err
			}()
		}
		sent.Wait()
		accepting := make(chan struct{})
		go func() {
			defer close(accepting)
			for range burst {
				answerOne(fd)
			}
		}()
		for range burst {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			return // answerOne may wait for ever
		}
		<-accepting
		syscall.Close(fd)
		if n := p.faults(t, "unix:"+path); n != 0 {
			t.Errorf("%v faults of the backend, want none", n)
		}
	})
}

// answerOne accepts a conn and answers its one request.
func answerOne(fd int) {
	c, _, err := syscall.Accept(fd)
	if err != nil {
		return
	}
	defer syscall.Close(c)
	if _, err := http.ReadRequest(bufio.NewReader(reads(c))); err == nil {
		syscall.Write(c, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	}
}

// reads is a descriptor to read from.
type reads int

func (fd reads) Read(b []byte) (int, error) {
	n, err := syscall.Read(int(fd), b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}
