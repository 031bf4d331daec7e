package hpack

// AppendIndexed appends the field at index i of the static table, from 1 to 61.
func AppendIndexed(d []byte, i ID) []byte { return append(d, 0x80|byte(i)) }

// AppendStatus appends :status with a code from 100 to 999.
func AppendStatus(d []byte, code int) []byte { return d }

// AppendField appends a field that the peer is not to index. The name may have upper case
// letters of ASCII: it is written in lower case (RFC 9113 8.2). Credentials are written
// as never to be indexed, by others on the way neither (RFC 7541 7.1.3): authorization,
// proxy-authorization, and a cookie so short that it could be guessed.
func AppendField(d, name, value []byte) []byte { return d }

// AppendSensitive is AppendField for a field that is never to be indexed, by others on
// the way neither: one that was received so (RFC 7541 6.2.3).
func AppendSensitive(d, name, value []byte) []byte { return d }

// AppendKnown is AppendField for a name with an ID other than Other.
func AppendKnown(d []byte, id ID, value []byte) []byte { return d }

// AppendSizeUpdate appends that our encoder uses a table of n bytes at most. It may stand
// at the beginning of a block alone (RFC 7541 4.2).
func AppendSizeUpdate(d []byte, n int) []byte { return d }
