// Package entry reads backends as sources of discovery have them: [[backends]] in JSON. It
// does not know where the text comes from.
package entry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lb/config"
	"lb/config/value"
)

// text is a backend as it is written. A key that was not given is nil.
type text struct {
	Address        *string `json:"address"`
	Host           *string `json:"host"`
	Port           *int    `json:"port"`
	Socket         *string `json:"socket"`
	Weight         *int    `json:"weight"`
	Backup         bool    `json:"backup"`
	Drain          bool    `json:"drain"`
	MaxConnections int     `json:"max_connections"`
	TLS            *bool   `json:"tls"`
}

// keys are those of text, for errors.
var keys = []string{"address", "host", "port", "socket", "weight", "backup", "drain", "max_connections", "tls"}

const (
	connectionsMax = 1 << 30
	portHTTPS      = 443
)

// Parse reads one backend, a JSON object with the keys of [[backends]], or with address in
// the place of host and port. An error says what is wrong and what to do about it.
func Parse(data []byte) (config.Backend, error) {
	var t text
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return config.Backend{}, plain(data, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return config.Backend{}, errors.New("something follows the object; write one backend, {...}")
	}
	return t.backend()
}

// ParseList reads an array of backends, each as Parse has it. bad has an error for each that
// is left out, which begins with its number, counted from 1. err is of a text that is no array.
func ParseList(data []byte) (good []config.Backend, bad []error, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		if json.Valid(data) {
			return nil, nil, errors.New(`is no list; write [{"host": "10.0.0.1", "port": 8080}]`)
		}
		return nil, nil, plain(data, err)
	}
	if list == nil { // null
		return nil, nil, errors.New(`is no list; write [] for no backend`)
	}
	good = make([]config.Backend, 0, len(list))
	for i, one := range list {
		b, err := Parse(one)
		if err != nil {
			bad = append(bad, fmt.Errorf("entry %d: %w", i+1, err))
			continue
		}
		good = append(good, b)
	}
	return good, bad, nil
}

// plain returns err, of the JSON decoder, in words for an operator.
func plain(data []byte, err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New(`is empty; write {"host": "10.0.0.1", "port": 8080}`)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf(`is %s, not an object; write {"host": "10.0.0.1", "port": 8080}`, article(kind.Value))
	case errors.As(err, &kind):
		return fmt.Errorf("%s is %s; write %s", kind.Field, article(kind.Value), wanted(kind.Type.Kind().String()))
	case errors.As(err, &syntax):
		return fmt.Errorf("is not JSON, at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return errors.New("is cut off; write a whole JSON object")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		if near := value.Nearest(name, keys); near != "" {
			return fmt.Errorf("unknown key %q; did you mean %q?", name, near)
		}
		return fmt.Errorf("unknown key %q; known here: %s", name, strings.Join(keys, ", "))
	}
	return err
}

// article returns the name of a kind of JSON value for a sentence. The decoder has more than
// the kind for numbers: "number 1.5".
func article(kind string) string {
	if strings.HasPrefix(kind, "number ") {
		return strings.TrimPrefix(kind, "number ")
	}
	if kind == "array" || kind == "object" {
		return "an " + kind
	}
	return "a " + kind
}

// wanted returns what a key of a kind of Go takes.
func wanted(kind string) string {
	switch kind {
	case "string":
		return "a text in quotes"
	case "bool":
		return "true or false, without quotes"
	}
	return "a whole number, without quotes"
}

// backend checks t.
func (t *text) backend() (b config.Backend, err error) {
	if b, err = t.place(); err != nil {
		return b, err
	}
	b.Backup, b.Drain, b.MaxConnections = t.Backup, t.Drain, t.MaxConnections
	if t.TLS != nil {
		b.TLS = *t.TLS
	}
	if t.Weight != nil {
		b.Weight = *t.Weight
	}
	return b, errors.Join(within("weight", b.Weight, 1, config.WeightMax), within("max_connections", b.MaxConnections, 0, connectionsMax))
}

// place returns a backend that has only its address, and what follows from that.
func (t *text) place() (b config.Backend, err error) {
	given := slices.DeleteFunc([]string{
		name("address", t.Address != nil), name("host", t.Host != nil || t.Port != nil), name("socket", t.Socket != nil),
	}, func(s string) bool { return s == "" })
	switch {
	case len(given) > 1:
		return b, fmt.Errorf("has both %s and %s; keep one of the two", given[0], given[1])
	case t.Address != nil:
		if b, err = config.ParseBackend(*t.Address); err != nil {
			var e *config.Error
			if errors.As(err, &e) {
				err = fmt.Errorf("address %s; %s", e.What, e.Hint)
			}
		}
		return b, err
	case t.Socket != nil:
		path := value.TrimUnix(*t.Socket)
		return config.Backend{Socket: path, Weight: 1}, flawed("socket", value.CheckSocket(path))
	case t.Host == nil && t.Port == nil:
		return b, errors.New(`says not where it is; write "host" and "port", or "address"`)
	case t.Host == nil:
		return b, errors.New(`has no host; add "host"`)
	case t.Port == nil:
		return b, errors.New(`has no port; add "port"`)
	}
	b = config.Backend{Host: *t.Host, Port: *t.Port, Weight: 1, TLS: *t.Port == portHTTPS}
	return b, errors.Join(flawed("host", value.CheckHost(b.Host)), within("port", b.Port, 1, value.PortMax))
}

// name returns key, or "" if it was not given.
func name(key string, given bool) string {
	if !given {
		return ""
	}
	return key
}

// flawed returns f as an error, or nil if there is none.
func flawed(key string, f *value.Flaw) error {
	if f == nil {
		return nil
	}
	return fmt.Errorf("%s %s; %s", key, f.What, f.Hint)
}

// within accepts n from low to high.
func within(key string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("%s %d is out of range; use %d to %d", key, n, low, high)
	}
	return nil
}
