// Package upstream decides WHERE a request goes. It is one loop's view of the routes,
// the pools with their backends and idle lists, the ejection rules and the retry
// budget. It opens no socket and reads no clock: time is an argument. Everything
// that is not on the board belongs to one loop and takes no lock.
//
// A Pool belongs to one configuration and does not change. What must survive a reload
// is on the board and in Backend, which the old and the new pool share. A pool numbers
// its backends by index, their place in its list. The board numbers them by ID, which
// stays the same as long as the backend is configured; the IDs of a pool's backends
// may be any, in any order.
package upstream
