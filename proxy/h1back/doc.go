// Package h1back is HTTP/1 towards backends: conns that carry one exchange at a time, and
// the choice among those that are idle. It does not know what an exchange says, or when it
// is tried again: package proxy does.
package h1back
