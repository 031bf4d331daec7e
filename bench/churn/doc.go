// Command churn measures what changes of members cost: lb with many backends over many pools
// of file sources, whose files change many times a second, under load on one of the pools.
// Rounds without churn and with it take turns. It reports lost requests, latencies, the CPU
// time of each process of lb, and whether lb has every member in the end.
//
//	go build -o /tmp/lb . && go run ./bench/churn --lb /tmp/lb --mode mp
//
// The backends are addresses of 127.0.0.0/8, which one server answers on Linux.
package main
