package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"lb/backends"
)

// The arguments with which this program runs as a helper. A helper ends when its standard
// input does.
const (
	backendsCommand = "serve-backends"
	scraperCommand  = "serve-scrapes"
)

// serveBackends prints the port at which backends listen, at every address of this machine.
func serveBackends() error {
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	servers, err := backends.Start(backends.Options{Listener: ln, Name: "backend"})
	if err != nil {
		return err
	}
	defer servers.Close()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// serveScrapes reads lines of a URL, a tab and what Accept asks for, or nothing. For each it
// scrapes, and prints the length of the answer and the nanoseconds that it took.
func serveScrapes() error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		url, accept, _ := strings.Cut(in.Text(), "\t")
		begun := time.Now()
		n, err := scrapeOnce(url, accept)
		if err != nil {
			return err
		}
		fmt.Println(n, int64(time.Since(begun)))
	}
	return in.Err()
}

// scrapeOnce reads one answer, and returns its length in bytes.
func scrapeOnce(url, accept string) (int64, error) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return 0, errors.New("/metrics: " + resp.Status)
	}
	return io.Copy(io.Discard, resp.Body)
}

// helper is this program, running as one.
type helper struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startHelper(argument string) (*helper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &helper{command: exec.Command(self, argument)}
	h.command.Stderr = os.Stderr
	if h.in, err = h.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.out = bufio.NewReader(out)
	return h, h.command.Start()
}

// ask writes a line, if there is one, and reads numbers from the next.
func (h *helper) ask(line string, numbers ...any) error {
	if line != "" {
		if _, err := io.WriteString(h.in, line+"\n"); err != nil {
			return err
		}
	}
	answer, err := h.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("a helper has ended: %w", err)
	}
	_, err = fmt.Sscan(answer, numbers...)
	return err
}

func (h *helper) close() {
	h.in.Close()
	h.command.Wait()
}
