//go:build !race

package board

// store writes one aligned word. A reader in another thread or process sees the
// old value or the new one, and that is all that a counter promises: it orders
// nothing else. An atomic store would order everything, at some 20 cycles each
// (XCHG), and an exchange has about twenty of them.
func store(p *uint64, v uint64) { *p = v }
