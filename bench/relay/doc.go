// Package relay passes bytes between clients and backends on our own loop and
// looks at none of them. It does what no proxy can leave out, a read and a
// write for each piece and each direction, so its cost is the floor under lb's:
// what lb costs more is the price of knowing HTTP.
//
// It reads pieces of 64 KiB, which is the usual; a proxy that reads
// longer pieces may cost less where bodies are long.
//
// Each client has a backend conn of its own for as long as it lives, backends
// are taken in turn, and an end of one side's bytes is passed on as such. It
// knows neither HTTP nor timeouts, and is for measurements only.
package relay
