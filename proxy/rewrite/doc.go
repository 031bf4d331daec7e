// Package rewrite is what lb changes in messages: which fields are not passed on, which
// are set by routes, and which lb adds. docs/http.md says the same for users. It knows
// messages, and neither conns nor backends; lengths and framing of responses are the
// front's.
package rewrite
