package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// writeTimeout is how long a client may take to make room for one piece of a stream. It is
// more than a busy client needs, and frees the conn of one that no longer reads.
const writeTimeout = 10 * time.Second

// stream is an answer that goes on until its context is done: because the client has gone
// or does not read, the server ends, or what was asked for is over.
type stream struct {
	context.Context
	c            *call
	writeTimeout time.Duration
	conn         *http.ResponseController
	begun        bool // the head is sent
	cut          context.CancelFunc
	stop         func() bool // has Over no longer cut this stream
}

// stream makes the answer a stream. It returns nil if it has refused that and told the
// client so. Otherwise the caller calls endStream.
func (s *Server) stream(c *call) *stream {
	if s.streams.Add(1) > int64(s.o.Streams) {
		s.streams.Add(-1)
		c.w.Header().Set("Connection", "close") // others wait for it
		c.w.Header().Set("Retry-After", "5")
		c.refuse(http.StatusServiceUnavailable, Refusal{Error: fmt.Sprintf("there are %d streams already; end one of them first", s.o.Streams)})
		return nil
	}
	ctx, cancel := context.WithCancel(c.Context())
	st := &stream{ctx, c, s.writeTimeout, http.NewResponseController(c.w), false, cancel, context.AfterFunc(s.o.Over, cancel)}
	c.w.Header().Set("Connection", "close") // it may end with half a line
	return st
}

func (s *Server) endStream(st *stream) {
	st.stop()
	st.cut()
	s.streams.Add(-1)
}

// lines sends what follow passes on, one JSON value a line. follow passes on nil when it has
// begun; an error before that is the whole answer. It ends with the stream's context.
func (s *Server) lines(c *call, follow func(ctx context.Context, each func(json.RawMessage)) error) {
	st := s.stream(c)
	if st == nil {
		return
	}
	defer s.endStream(st)
	if c.Method == http.MethodHead {
		c.w.Header().Set("Content-Type", ndjson)
		return
	}
	err := follow(st, func(line json.RawMessage) {
		if st.Err() == nil && st.send(line) != nil {
			st.cut()
		}
	})
	if err != nil && !st.begun {
		c.fail(err)
	}
}

// ndjson is the media type of lines of JSON.
const ndjson = "application/x-ndjson"

// send sends the head of the answer, if that was not sent, and a line unless it is nil. Each
// line has a deadline of its own, in the place of the server's, which is for whole answers.
func (st *stream) send(line json.RawMessage) error {
	st.conn.SetWriteDeadline(time.Now().Add(st.writeTimeout))
	if !st.begun {
		st.begun = true
		st.c.w.Header().Set("Content-Type", ndjson)
		st.c.w.WriteHeader(http.StatusOK)
	}
	if line != nil {
		if _, err := st.c.w.Write(append(line[:len(line):len(line)], '\n')); err != nil {
			return err
		}
	}
	return st.conn.Flush()
}
