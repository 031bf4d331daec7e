package config

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// walked returns the keys of c with their values.
func walked(c *Config, only ...string) map[string]string {
	out := map[string]string{}
	c.Walk(func(path, text string) {
		if before, twice := out[path]; twice {
			text = fmt.Sprintf("%s and %s", before, text)
		}
		out[path] = text
	}, only...)
	return out
}

// TestWalkForgetsNothing changes every field of a configuration, one at a time: each shows in
// a value, but for what is a secret or stands elsewhere.
func TestWalkForgetsNothing(t *testing.T) {
	old, changed := full(t), full(t)
	before := walked(old)
	for path, text := range before {
		if strings.Contains(text, " and ") {
			t.Errorf("%s is there twice: %s", path, text)
		}
	}
	exempt := func(path string) bool {
		return path == "Config.Source" || path == "Config.Pools[0].Name" || path == "Config.StickyKey" || path == "Config.Admin.Token" || isFound(path)
	}
	leaves := 0
	eachLeaf(reflect.ValueOf(changed).Elem(), "Config", func(path string, v reflect.Value) {
		was := reflect.New(v.Type()).Elem()
		was.Set(v)
		if exempt(path) || !change(t, path, v) {
			return
		}
		leaves++
		if maps.Equal(before, walked(changed)) {
			t.Errorf("a change of %s shows in no value", path)
		}
		v.Set(was)
	})
	if leaves < 90 {
		t.Errorf("only %d fields were changed", leaves)
	}
}

// TestWalkOnly: the keys and tables that are named, and no others.
func TestWalkOnly(t *testing.T) {
	got := walked(Default(), "retry", "port")
	want := map[string]string{"port": "8080", "retry.attempts": "2", "retry.on": "[connect, stale, timeout]", "retry.budget": "0.2", "retry.budget_min": "3"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
