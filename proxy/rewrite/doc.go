// Package rewrite changes messages: it leaves out the fields that are not passed on, sets
// the fields of routes, and adds lb's own. docs/http.md describes this for users. The
// package knows neither conns nor backends; fronts decide the lengths and framing of
// responses.
package rewrite
