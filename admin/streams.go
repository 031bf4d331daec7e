package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lb/admin/api"
	"lb/admin/rest"
)

// ErrEnded is returned for a stream that lb has ended: it drains, or a new process has
// taken over, which can be asked in its place.
var ErrEnded = errors.New("lb has ended the stream, because it ends or was upgraded")

// lineMax is the longest line of a stream, in bytes. An entry of the board is far shorter.
const lineMax = 1 << 20

// Faults asks for the newest failed and slow exchanges, most at most, the newest last.
func (c *Client) Faults(most int) ([]json.RawMessage, error) {
	var got struct {
		Faults []json.RawMessage `json:"faults"`
	}
	err := c.ask("GET", "/v1/faults?max="+strconv.Itoa(most), answerTimeout, nil, &got)
	return got.Faults, err
}

// FollowFaults calls each for the newest failed and slow exchanges, most at most, and then
// for those to come, until ctx is done, when it returns nil, or each returns an error, which
// it returns. Else it returns ErrEnded, or why there is no stream. The JSON is that of
// api.Exchange, or of api.Lost; each may keep it.
func (c *Client) FollowFaults(ctx context.Context, most int, each func(json.RawMessage) error) error {
	return c.follow(ctx, "/v1/faults?follow=true&max="+strconv.Itoa(most), each)
}

// Trace calls each for every exchange that ask is about, until ctx is done or ask.For, which
// is whole seconds, is over. Then it returns nil; else what FollowFaults returns.
func (c *Client) Trace(ctx context.Context, ask api.TraceAsk, each func(json.RawMessage) error) error {
	query := url.Values{}
	for name, value := range map[string]string{"client": ask.Client, "id": ask.ID} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if ask.For != 0 {
		query.Set("seconds", strconv.FormatFloat(ask.For.Seconds(), 'f', -1, 64))
	}
	begun := time.Now()
	err := c.follow(ctx, "/v1/trace?"+query.Encode(), each)
	if errors.Is(err, ErrEnded) && ask.For > 0 && time.Since(begun) >= ask.For {
		return nil
	}
	return err
}

// Explain asks what lb would do with a request.
func (c *Client) Explain(ask api.ExplainAsk) (out api.Explained, err error) {
	query := url.Values{"method": {ask.Method}, "url": {ask.URL}, "header": ask.Headers}
	if ask.From != "" {
		query.Set("from", ask.From)
	}
	text := query.Encode()
	if len(text) > explainMax {
		return out, fmt.Errorf("the URL and its fields are too long to ask about: %d bytes when they are escaped, and lb takes %d", len(text), explainMax)
	}
	err = c.ask("GET", "/v1/explain?"+text, answerTimeout, nil, &out)
	return out, err
}

// Settings asks for each setting and where its value comes from.
func (c *Client) Settings() ([]api.Setting, error) {
	var got rest.Settings
	err := c.ask("GET", "/v1/config", answerTimeout, nil, &got)
	return got.Settings, err
}

// LogLevel asks for the level of the log.
func (c *Client) LogLevel() (string, error) {
	var got rest.LogLevel
	err := c.ask("GET", "/v1/log", answerTimeout, nil, &got)
	return got.Level, err
}

// SetLogLevel changes the level of the log.
func (c *Client) SetLogLevel(level string) error {
	return c.ask("POST", "/v1/log", answerTimeout, rest.LogLevel{Level: level}, &rest.LogLevel{})
}

// History asks for the newest points of the history, or with 0 for all of it.
func (c *Client) History(points int) (h api.History, err error) {
	path := "/v1/history"
	if points > 0 {
		path += "?points=" + strconv.Itoa(points)
	}
	err = c.ask("GET", path, answerTimeout, nil, &h)
	return h, err
}

// follow asks for a stream and calls each for its lines.
func (c *Client) follow(ctx context.Context, path string, each func(json.RawMessage) error) error {
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(answerTimeout, func() { cancel(context.DeadlineExceeded) })
	req, err := http.NewRequestWithContext(asking, "GET", "http://lb"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if !late.Stop() && err == nil {
		resp.Body.Close()
		err = context.DeadlineExceeded
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		if errors.Is(context.Cause(asking), context.DeadlineExceeded) {
			err = context.DeadlineExceeded
		}
		return c.noAnswer(err, "GET", answerTimeout)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
		if err != nil {
			return c.noAnswer(err, "GET", answerTimeout)
		}
		return readAnswer(resp, text, nil)
	}
	return readLines(ctx, resp.Body, each)
}

// readLines calls each for the lines of a stream until that ends.
func readLines(ctx context.Context, body io.Reader, each func(json.RawMessage) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		line := json.RawMessage(bytes.Clone(lines.Bytes()))
		if !json.Valid(line) {
			return fmt.Errorf("the answer is not understood: %.40q", line)
		}
		if err := each(line); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return ErrEnded
}
