// Command compare measures what lb costs beside a byte relay, nginx and
// HAProxy: `just bench`, or `go run ./bench/compare`.
//
// The figure to compare is the CPU time of a proxy's processes per request. On a
// noisy machine throughput varies by a third, the CPU time that the kernel charges
// by a few percent, and the ratio of two CPU times of one round by less. So all
// proxies run at once, each is measured once a round, the order turns from round
// to round, and ratios are taken within rounds and given with their range.
// Throughput and latency are reported, too.
//
// All proxies have one worker on one core; load and backends have the other cores.
// If there are none, the report says so. The backends are one process with one
// loop, even if there are 1,000 of them: it listens on all addresses of
// 127.0.0.0/8. The load is a process of its own, so that the runner does not
// disturb it and the kernel can keep it on its core.
//
// With TLS from clients, all proxies have the same certificate, made for the run, and
// agree to the same: AES-128-GCM, X25519, and tickets as the only memory of sessions.
// A run does not begin if one agrees to something else. tls-calm and tls-flood are one
// load, first alone and then beside clients that begin handshakes and never end them:
// their p99 shows what the flood costs those that are connected.
//
// The load of HTTP/2 is h2load's (nghttp2-client), whose answers count if their status is 2xx
// or 3xx; without it those cases are left out. Backends speak HTTP/1.1, or for the cases h2c
// HTTP/2, which nginx speaks by grpc_pass alone.
//
// The command starts itself again for the load, the backends and the relay. All
// processes that it starts end with it, see process.go. It needs Linux because it
// reads /proc. Package report shows the results.
package main
