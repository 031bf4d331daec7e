// Package relay passes bytes between clients and backends on our own loop and
// looks at none of them. It does only what every proxy must do, one read and one
// write for each piece in each direction. So its cost is the least that lb can
// have; the rest of lb's cost is the price of HTTP.
//
// It reads pieces of 64 KiB, as is usual. A proxy that reads longer pieces may cost
// less with long bodies.
//
// Each client has a backend conn of its own until it ends, backends are used in
// turn, and the end of one side's bytes is passed on to the other. The relay knows
// neither HTTP nor timeouts, and is for measurements only.
package relay
