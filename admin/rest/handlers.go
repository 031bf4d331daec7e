package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lb/admin/api"
)

func (s *Server) status(c *call) { c.answer(s.o.Control.Status()) }

func (s *Server) backends(c *call) {
	c.answer(Backends{append([]api.Pool{}, s.o.Control.Status().Pools...)}) // none is [], not null
}

func (s *Server) setBackend(c *call) {
	var ask BackendChange
	if !c.read(&ask) {
		return
	}
	b, err := s.o.Control.SetBackend(ask.Pool, ask.Address, ask.Action, ask.Weight)
	args := []any{"pool", ask.Pool, "backend", ask.Address, "action", ask.Action}
	if ask.Action == api.Weight {
		args = append(args, "weight", ask.Weight)
	}
	if s.audit(c, err, args...); err != nil {
		c.fail(err)
		return
	}
	c.answer(b)
}

func (s *Server) reload(c *call) {
	var ask ReloadAsk
	if !c.read(&ask) {
		return
	}
	done, err := s.o.Control.Reload(ask.Plan)
	if !ask.Plan {
		s.audit(c, err, "changes", len(done.Changes))
	}
	if err == nil {
		c.answer(done)
		return
	}
	no := Refusal{Error: err.Error()}
	errors.As(err, &no.Errors)
	if len(done.Changes) > 0 {
		no.Reloaded = &done
	}
	c.refuse(codeOf(err), no)
}

func (s *Server) upgrade(c *call) {
	var ask UpgradeAsk
	if !c.read(&ask) {
		return
	}
	if ask.Binary != "" && s.o.Network != nil {
		err := errors.New("the path of another binary is taken on the socket alone; put the new one in the place of the old one, or ask there")
		s.audit(c, err, "binary", ask.Binary)
		c.refuse(http.StatusForbidden, Refusal{Error: err.Error()})
		return
	}
	done, err := s.o.Control.Upgrade(ask.Binary)
	args := []any{"binary", ask.Binary}
	if err == nil {
		args = append(args, "pid", done.PID)
	}
	if s.audit(c, err, args...); err != nil {
		c.fail(err)
		return
	}
	c.answer(done)
}

func (s *Server) drain(c *call) {
	if !c.read(&struct{}{}) {
		return
	}
	err := s.o.Control.Drain()
	if s.audit(c, err); err != nil {
		c.fail(err)
		return
	}
	c.answer(struct{}{})
}

func (s *Server) logLevel(c *call) { c.answer(LogLevel{s.o.Control.LogLevel()}) }

func (s *Server) setLogLevel(c *call) {
	var ask LogLevel
	if !c.read(&ask) {
		return
	}
	err := s.o.Control.SetLogLevel(ask.Level)
	if s.audit(c, err, "level", ask.Level); err != nil {
		c.fail(err)
		return
	}
	c.answer(LogLevel{s.o.Control.LogLevel()})
}

// FaultsMax is how many failed and slow exchanges an answer has at most.
const FaultsMax = 256

func (s *Server) faults(c *call) {
	switch follow := c.URL.Query().Get("follow"); follow {
	case "", "false":
		most, ok := c.number("max", 1, FaultsMax, FaultsMax)
		if !ok {
			return
		}
		list := s.o.Control.Faults(most)
		if list == nil {
			list = []json.RawMessage{}
		}
		c.answer(struct {
			Faults []json.RawMessage `json:"faults"`
		}{list})
	case "true":
		if most, ok := c.number("max", 0, FaultsMax, 0); ok {
			s.lines(c, func(ctx context.Context, each func(json.RawMessage)) error {
				return s.o.Control.FollowFaults(ctx, most, each)
			})
		}
	default:
		c.fail(api.AskError(fmt.Sprintf("follow is %q; use true or false", follow)))
	}
}

// traceSeconds is how long a trace goes on unless the client says so.
const traceSeconds = 60

func (s *Server) trace(c *call) {
	seconds, ok := c.number("seconds", 1, int(api.TraceMax/time.Second), traceSeconds)
	if !ok {
		return
	}
	ask := api.TraceAsk{Client: c.URL.Query().Get("client"), ID: c.FormValue("id"), For: time.Duration(seconds) * time.Second}
	s.lines(c, func(ctx context.Context, each func(json.RawMessage)) error {
		begun := false
		args := []any{"client", ask.Client, "id", ask.ID, "seconds", seconds}
		err := s.o.Control.Trace(ctx, ask, func(entry json.RawMessage) {
			if !begun {
				begun = true
				s.audit(c, nil, args...)
			}
			each(entry)
		})
		if !begun {
			s.audit(c, err, args...)
		}
		return err
	})
}

func (s *Server) explain(c *call) {
	query := c.URL.Query()
	ask := api.ExplainAsk{Method: query.Get("method"), URL: query.Get("url"), Headers: query["header"], From: query.Get("from")}
	if ask.URL == "" {
		c.fail(api.AskError("which URL? Add url=https://..."))
		return
	}
	if ask.Method == "" {
		ask.Method = http.MethodGet
	}
	out, err := s.o.Control.Explain(ask)
	if err != nil {
		c.fail(err)
		return
	}
	c.answer(out)
}

func (s *Server) settings(c *call) {
	c.answer(Settings{append([]api.Setting{}, s.o.Control.Settings()...)}) // none is [], not null
}

// pointsMax is more points than a history has.
const pointsMax = 10000

func (s *Server) history(c *call) {
	points, ok := c.number("points", 1, pointsMax, pointsMax)
	if ok {
		c.answer(s.o.Control.History().Last(points))
	}
}

func (s *Server) events(c *call) {
	if s.o.Events == nil || c.Method == http.MethodHead {
		s.pass(s.o.Events, c)
		return
	}
	if st := s.stream(c); st != nil {
		defer s.endStream(st)
		s.o.Events.ServeHTTP(c.w, c.WithContext(st))
	}
}

// number returns a parameter of the query that is a number from low to high, or byDefault
// if it is not given. It returns false if it has refused the request.
func (c *call) number(name string, low, high, byDefault int) (n int, ok bool) {
	text := c.URL.Query().Get(name)
	if text == "" {
		return byDefault, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		c.fail(api.AskError(fmt.Sprintf("%s is %q; use a number from %d to %d", name, text, low, high)))
		return 0, false
	}
	return n, true
}
