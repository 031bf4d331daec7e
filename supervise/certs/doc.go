// Package certs looks after certificates: it reads and checks the files that the
// configuration names, notices that they have changed, makes and rotates the keys of
// session tickets, and warns before a certificate expires. What loops need of that it gives
// to the desk as tlsconf.Secrets. It does not know loops and processes, nor where
// certificates that are not in files come from: see Manager.SetManaged.
//
// # Why files are looked at and not watched
//
// A certificate and its key are two files, mostly reached by links (certbot's live/,
// Kubernetes' ..data), and there may be thousands of them. Half a second between two looks
// is soon enough, costs one stat for each file, sees every way in which a file can change,
// and works on every file system. Files that have not changed from one look to the next
// are read, and taken up if they fit. The price is that a change takes up to a second.
//
// # Why an unfit pair is no error at once
//
// A program that renews writes one file after the other, so for a moment the two do not
// fit. Only what stays unfit for some seconds is logged, once. The old certificate is
// served all the time.
//
// # Tickets
//
// The supervisor makes the keys of session tickets, so that all workers can read all
// tickets. A new key is made every 12 hours and the last three are kept: a session can be
// resumed for 24 to 36 hours. The keys are handed over in an upgrade, and stand in no file:
// whoever has one can read the conns whose tickets it has made (with TLS 1.2), so they end
// with the process.
package certs
