// Package accesslog writes the access log: it takes the lines that loops have put into
// their rings on the board, and writes them to a file, a FIFO, standard output or syslog.
// It does not know what a line says, nor what a configuration is.
//
// # One writer, and nobody waits for it
//
// A loop puts whole lines into a ring of its own and goes on; if the ring is full, it drops
// the line and counts it. One goroutine of the supervisor reads all rings. So a full disk,
// a FIFO that is not read and a syslog that has stopped hold up this goroutine alone; and
// what a worker had written before it was killed is still there. The price is that lines of
// several loops are not in order of time: each has its own.
//
// # Whole lines
//
// A target that takes a part of a line, such as a disk that becomes full, gets the rest of
// it before any other line. If the path names another file by then, the new file gets the
// whole line, and the part is cut off the old one. A pipe gets 4,096 bytes at once at most
// (PIPE_BUF), so that the lines of two processes during an upgrade do not mix.
package accesslog
