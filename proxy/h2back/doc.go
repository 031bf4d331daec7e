// Package h2back is HTTP/2 towards backends: few conns, and many exchanges on each. The I/O
// is that of package mux.
//
// # Which conn
//
// An attempt joins the oldest conn to its backend that has room, one that is still being
// dialled included: it waits for that one in its own phase Dial, with its own time to
// connect. A new conn is dialled only when none has room. A new conn waits a moment for
// the SETTINGS of the backend. Until then the backend is taken to allow as many streams as on
// the conn before, or assumed.
//
// # When a conn ends
//
// A conn gets no new streams any more, and ends with its last one, after GOAWAY of the
// backend, when the configuration of TLS has changed, in a drain, and when it is old:
// after some minutes, so that backends that have come with the same name get their
// share. It ends when it has had no stream for as long as an idle HTTP/1 conn may be kept.
//
// No PING is sent before a conn is used that was idle: what an orderly end of the conn was
// the loop has seen by then, and a backend that has vanished without a word costs one
// attempt, as in HTTP/1.
package h2back
