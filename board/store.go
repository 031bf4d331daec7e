//go:build !race

package board

// store writes one aligned word. A reader in another thread or process sees the old
// or the new value, which is all that a counter needs: it orders nothing else. An
// atomic store (XCHG) costs some 20 cycles more, and an exchange makes about twenty
// stores.
func store(p *uint64, v uint64) { *p = v }

// storeBytes writes text into words, in an order that others may see any way.
func storeBytes(words []uint64, text []byte) { copy(bytesOf(words), text) }

// loadBytes reads text from words, while another may write them.
func loadBytes(text []byte, words []uint64) { copy(text, bytesOf(words)) }
