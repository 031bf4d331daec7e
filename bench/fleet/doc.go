// Command fleet simulates a fleet of lbs before the same backends, and prints what cannot be
// measured on one machine: what agreeing by hash, shared rate limits, local load counts and
// checks cost with 10, 100 and 1,000 machines. The figures of docs/operations.md are its
// output:
//
//	go run ./bench/fleet
//
// Hashing is lb's own (package upstream). Time, clients, failures and the store are models:
// every arrival is independent (Poisson), every machine gets an equal share of them, as ECMP
// or anycast spread them, and the random numbers have a fixed seed, so that a run repeats.
package main
