// Package buckets holds the token buckets of rate limits in words that all loops share, in
// fixed memory. It knows neither requests nor configurations: a bucket is a 64-bit key, and
// a Rate says how it fills.
//
// # One word for each bucket
//
// A bucket is its TAT, the theoretical arrival time of the generic cell rate algorithm: the
// moment at which it will be full again. A token costs Rate.Every, so TAT minus now is what
// has been taken and has not come back yet. One compare-and-swap takes a token, whichever
// loop or process does it, so no token is given twice.
//
// A bucket whose TAT is in the past is full, which is the same as none. So the table forgets
// those at no loss: it has sets of 8 places, and a new key takes the place of the smallest
// TAT of its set. Only if all 8 are in use, a state is lost, and counted (Area.Lost): that
// bucket is full again, sooner than it should be.
//
// A key and its TAT are two words, which change one after another. A place changes hands by
// its key alone: a TAT that is in the past needs no change, and one that is not is set to 0
// before. So a loop that dies in between leaves a full bucket at worst. A loop that takes a
// token looks at the key again afterwards and gives back what it took from another bucket.
//
// # What a store has to know
//
// Of a limit that several machines count together, loops also note the keys of the tokens
// that they take, each in a ring of its own; the supervisor reads them and asks the store.
//
// # Memory
//
// 2^20 places of 16 bytes: 16 MiB at most, by the page as they are used. For each loop, 6
// KiB of counts, and 256 KiB of notes once there is a store.
package buckets
