package board

import (
	"encoding/binary"
	"net/netip"
)

// Tap says which exchanges all loops copy into their TapRing, and until when. The control
// plane alone writes it, one supervisor at a time.
type Tap struct {
	// Until is when it ends, on the clock of the board in nanoseconds; 0: it is off. A loop
	// reads it for every exchange.
	Until  Word
	number Word // odd while the filter is being written
	bits   Word // of the network, plus one; 0: any client
	addr   [2]Word
	size   Word // of id, in bytes
	id     [tapIDMax / wordBytes]Word
}

// tapIDMax is the length of the longest request id that a tap can ask for, in bytes.
const tapIDMax = 128

// TapFilter says which exchanges a tap takes: those that match all that is set.
type TapFilter struct {
	Client netip.Prefix // the zero value: any
	ID     string       // request id, at most 128 bytes; "": any
}

// Set makes the tap take what f says until the time until, which is 0 for nothing.
func (t *Tap) Set(f TapFilter, until int64) {
	n := t.number.Load() | 1
	t.Until.Store(0)
	t.number.Store(n)
	t.bits.Store(0)
	if f.Client.IsValid() {
		a := f.Client.Addr().As16()
		bits := f.Client.Bits()
		if f.Client.Addr().Is4() {
			bits += 96
		}
		t.addr[0].Store(binary.BigEndian.Uint64(a[:8]))
		t.addr[1].Store(binary.BigEndian.Uint64(a[8:]))
		t.bits.Store(uint64(bits) + 1)
	}
	t.size.Store(uint64(putBytes(t.id[:], f.ID)))
	t.number.Store(n + 1)
	t.Until.Store(uint64(until))
}

// Number returns a number that changes with the filter, so that a loop can keep a copy.
func (t *Tap) Number() uint64 { return t.number.Load() }

// Filter returns the filter, and false while it is being written.
func (t *Tap) Filter() (f TapFilter, ok bool) {
	n := t.number.Load()
	if bits := t.bits.Load(); bits > 0 {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:8], t.addr[0].Load())
		binary.BigEndian.PutUint64(a[8:], t.addr[1].Load())
		addr, bits := netip.AddrFrom16(a), int(bits)-1
		if addr.Is4In6() && bits >= 96 {
			addr, bits = addr.Unmap(), bits-96
		}
		f.Client = netip.PrefixFrom(addr, bits)
	}
	f.ID = getBytes(t.id[:], t.size.Load())
	return f, n%2 == 0 && t.number.Load() == n
}
