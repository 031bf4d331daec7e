package consul

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"lb/config"
	"lb/config/value"
)

const (
	answerMax = 64 << 20 // bytes of an answer
	reasonMax = 200      // bytes of the text of an error
	// contactMax is how old the state of a server may be that answers without its leader.
	contactMax = 10 * time.Second
)

// secret is where the ACL token is from. A file is read for every question, so that a new
// token needs no reload.
type secret struct{ token, file string }

func (s secret) read() (string, error) {
	if s.file == "" {
		return s.token, nil
	}
	data, err := os.ReadFile(s.file)
	if err != nil {
		return "", fmt.Errorf("token_file: %w; let the user of lb read it", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("token_file: %s has no token; write one, and nothing else", s.file)
	}
	return token, nil
}

// newClient returns a client that trusts the certificates in the file ca, or those that the
// system trusts if ca is "".
func newClient(ca string) (*http.Client, error) {
	trusted := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w; let the user of lb read it", err)
		}
		if trusted.RootCAs = x509.NewCertPool(); !trusted.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s has no certificate in PEM; write those of Consul's CA", ca)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:     trusted,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConns:        1,
			IdleConnTimeout:     time.Minute,
		},
		// The token would go along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// answer is an answer that is no error.
type answer struct {
	list     []config.Backend
	index    uint64 // 0: there is none
	leader   bool   // the server knows a leader, as far as it says
	contact  time.Duration
	filtered bool // the token may not see all
}

// doubt returns why an empty list does not count, or nil.
func (a *answer) doubt() error {
	switch {
	case !a.leader, a.contact > contactMax:
		return errors.New("the list is empty, and the server has no contact to a leader; see consul operator raft list-peers")
	case a.filtered:
		return errors.New("the list is empty for this token; give it service:read and node:read for the service")
	}
	return nil
}

// ask asks once. With an index other than 0, the answer comes when Consul has another, or
// after hold.
func (s *Source) ask(ctx context.Context, index uint64, hold time.Duration) (*answer, error) {
	if s.client == nil {
		c, err := newClient(s.ca)
		if err != nil {
			return nil, err
		}
		s.client = c
	}
	timeout, to := s.plain, s.base
	if index > 0 {
		to.RawQuery += "&index=" + strconv.FormatUint(index, 10) + "&wait=" + strconv.FormatInt(hold.Milliseconds(), 10) + "ms"
		timeout += hold + hold/16 // Consul adds as much, so that not all come back at once
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, to.String(), nil)
	if err != nil {
		return nil, err
	}
	token, err := s.sign(req)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) { // it repeats the address
			err = of.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer in %v", timeout)
		}
		return nil, fmt.Errorf("%w; see that Consul's agent runs at %s", err, to.Host)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, token)
	}
	return s.read(resp)
}

// sign adds to req what lets it be answered, and returns the token.
func (s *Source) sign(req *http.Request) (token string, err error) {
	if token, err = s.secret.read(); token != "" {
		req.Header.Set("X-Consul-Token", token)
	}
	if s.user != nil {
		password, _ := s.user.Password()
		req.SetBasicAuth(s.user.Username(), password)
	}
	return token, err
}

// refusal says what to do about an answer that has another status than 200.
func refusal(resp *http.Response, token string) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, reasonMax))
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line = cmp.Or(line, "no text")
	if token != "" {
		line = strings.ReplaceAll(line, token, "***")
	}
	hint := "see Consul's log"
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusUnauthorized:
		hint = "give token or token_file a token with service:read and node:read for the service"
	case http.StatusNotFound:
		hint = "see that Consul's HTTP API is at this address"
	case http.StatusTooManyRequests:
		hint = "raise limits.request_limits in Consul"
	}
	return fmt.Errorf("status %d: %q; %s", resp.StatusCode, line, hint)
}

// read returns what resp says.
func (s *Source) read(resp *http.Response) (*answer, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	if err != nil {
		return nil, fmt.Errorf("the answer is cut off: %w; see Consul's log", err)
	}
	if len(data) > answerMax {
		return nil, fmt.Errorf("the answer has more than %d bytes; ask with tag for a part of the service", answerMax)
	}
	var instances []instance
	if err := json.Unmarshal(data, &instances); err != nil || bytes.HasPrefix(bytes.TrimSpace(data), []byte("null")) {
		return nil, errors.New("the answer is no list of instances; see that Consul's HTTP API is at this address")
	}
	h := resp.Header
	a := &answer{list: s.backends(instances), leader: true}
	if n, err := strconv.ParseUint(h.Get("X-Consul-Index"), 10, 64); err == nil {
		a.index = n
	}
	// The streaming backend, which answers most questions with an index, says "false" always.
	if h.Get("X-Consul-Knownleader") == "false" && h.Get("X-Consul-Query-Backend") != "streaming" {
		a.leader = false
	}
	if ms, err := strconv.ParseInt(h.Get("X-Consul-Lastcontact"), 10, 64); err == nil {
		a.contact = time.Duration(ms) * time.Millisecond
	}
	a.filtered = h.Get("X-Consul-Results-Filtered-By-Acls") == "true"
	return a, nil
}

// instance is what lb reads of one.
type instance struct {
	Node    struct{ Address string }
	Service struct {
		ID         string
		Address    string
		Port       int
		SocketPath string
		Weights    *struct{ Passing int }
	}
}

// backends returns those of instances that can be reached. The log gets a line about others
// when they are not the same as before.
func (s *Source) backends(instances []instance) []config.Backend {
	list := make([]config.Backend, 0, len(instances))
	left, first := 0, ""
	for i := range instances {
		b, flaw := instances[i].backend()
		if flaw == nil {
			list = append(list, b)
			continue
		}
		if left++; left == 1 {
			first = fmt.Sprintf("%s: %s; %s", instances[i].Service.ID, flaw.What, flaw.Hint)
		}
	}
	if s.left != first {
		s.left = first
		if left > 0 {
			s.log.Warn("instances of a service are left out", "service", s.service, "instances", left, "first", first,
				"mend", "register them with an address and a port")
		}
	}
	return list
}

// backend returns the backend that i is.
func (i *instance) backend() (b config.Backend, f *value.Flaw) {
	b.Weight = 1
	if w := i.Service.Weights; w != nil {
		b.Weight = min(max(w.Passing, 1), config.WeightMax)
	}
	if b.Socket = i.Service.SocketPath; b.Socket != "" {
		return b, value.CheckSocket(b.Socket)
	}
	b.Host, b.Port = cmp.Or(i.Service.Address, i.Node.Address), i.Service.Port
	b.TLS = b.Port == portHTTPS
	if b.Port < 1 || b.Port > value.PortMax {
		return b, value.Wrong(fmt.Sprintf("port %d is none", b.Port), fmt.Sprintf("use 1 to %d", value.PortMax))
	}
	return b, value.CheckHost(b.Host)
}

// portHTTPS is the port at which a backend speaks TLS, as in the file.
const portHTTPS = 443
