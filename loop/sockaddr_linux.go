package loop

import "encoding/binary"

const abstractNames = true

func (s *sockaddr) setHead(family, _ int) {
	binary.NativeEndian.PutUint16(s.bytes[:], uint16(family))
}
