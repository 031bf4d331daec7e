package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The versions of the API that have all that lb asks for. Engines refuse those below their
// own least, which is 1.44 since Docker 29.
const (
	versionMin = 24 // of 1.24
	versionMax = 44
)

const (
	answerMax = 64 << 20 // bytes of a list
	eventMax  = 1 << 20  // bytes of an event
	reasonMax = 300      // bytes of the text of an error
)

// event is what lb reads of one.
type event struct {
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string // the labels are here, too
	}
}

// ends reports whether e, a "kill", is likely to end the container. Some signals are sent to
// have a configuration read or a log opened again.
func (e *event) ends() bool {
	return !slices.Contains([]string{"1", "10", "12", "28"}, e.Actor.Attributes["signal"]) // HUP, USR1, USR2, WINCH
}

// actions are the events that may change the list.
var actions = []string{"start", "restart", "die", "kill", "stop", "oom", "pause", "unpause", "destroy", "rename", "update", "health_status"}

// filters returns the parameter of that name.
func filters(f map[string][]string) string {
	text, _ := json.Marshal(f)
	return url.QueryEscape(string(text))
}

// negotiate finds the version of the API that both sides know.
func (s *Source) negotiate(ctx context.Context) error {
	if s.version != "" {
		return nil
	}
	var v struct{ APIVersion, MinAPIVersion string }
	if err := s.get(ctx, "/version", &v); err != nil {
		return err
	}
	most, ok := minor(v.APIVersion)
	if !ok {
		return fmt.Errorf("the engine has no version of its API; see that a Docker engine is at %s", s.socket)
	}
	least, _ := minor(v.MinAPIVersion)
	use := max(min(most, versionMax), least)
	if use < versionMin {
		return fmt.Errorf("the engine speaks version %s of its API at most, and lb needs 1.%d; use a newer engine", v.APIVersion, versionMin)
	}
	s.version = "/v1." + strconv.Itoa(use)
	return nil
}

// minor returns n of 1.n.
func minor(version string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(version, "1.")
	n, err := strconv.Atoi(rest)
	return n, ok && err == nil && n >= 0
}

// do asks for a path, and returns an answer with the status 200.
func (s *Source) do(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.unreached(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, reasonMax))
	var reason struct{ Message string }
	if json.Unmarshal(text, &reason) != nil {
		reason.Message, _, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	}
	return nil, fmt.Errorf("status %d: %q; see the engine's log", resp.StatusCode, cmp.Or(reason.Message, "no text"))
}

// unreached says what to do about err, for which there is no answer.
func (s *Source) unreached(err error) error {
	var of *url.Error
	if errors.As(err, &of) { // it repeats the address
		err = of.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in %v; see that a Docker engine is at %s", answerTimeout, s.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; let the user of lb use the socket: its group is docker, as a rule", err)
	}
	return fmt.Errorf("%w; see that a Docker engine is at %s", err, s.socket)
}

// get reads the JSON at path into v.
func (s *Source) get(ctx context.Context, path string, v any) error {
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	resp, err := s.do(limited, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	if err != nil || len(data) > answerMax {
		return fmt.Errorf("the answer is cut off or too long: %v; see the engine's log", cmp.Or(err, errors.New("more than 64 MiB")))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("the answer is not what Docker's API says; see that a Docker engine is at %s", s.socket)
	}
	return nil
}

// events hands over the events of the pool's containers until something fails. The first one,
// without an action, says that the stream has begun.
func (s *Source) events(ctx context.Context, to chan<- event) error {
	resp, err := s.do(ctx, s.version+"/events?filters="+filters(map[string][]string{
		"type": {"container"}, "label": {labelPool + "=" + s.pool}, "event": actions,
	}))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	send := func(e event) error {
		select {
		case to <- e:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := send(event{}); err != nil {
		return err
	}
	bounded := &io.LimitedReader{R: resp.Body}
	for in := json.NewDecoder(bounded); ; {
		bounded.N = eventMax
		var e event
		switch err := in.Decode(&e); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the engine has ended the stream of events; see that it runs")
		case err != nil:
			return fmt.Errorf("events: %w; see the engine's log", err)
		}
		if err := send(e); err != nil {
			return err
		}
	}
}
