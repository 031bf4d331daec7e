package board

// FaultReasons are the reasons that NoteFault takes.
var FaultReasons = [...]Reason{ReasonConnect, ReasonTimeout, ReasonReset, ReasonBadAnswer, ReasonStatus,
	ReasonTLSName, ReasonTLSChain, ReasonTLSDate, ReasonTLSVersion, ReasonTLS}

// TLSReasons are the last of FaultReasons, those in TLS.
var TLSReasons = [...]Reason{ReasonTLSName, ReasonTLSChain, ReasonTLSDate, ReasonTLSVersion, ReasonTLS}

// InTLS reports whether r is a reason in TLS.
func (r Reason) InTLS() bool { return r >= ReasonTLSName && r <= ReasonTLS }

// LastFault is the last fault of a backend for one reason.
type LastFault struct {
	Why   Reason
	Phase uint8 // of the exchange, below 16; the proxy's numbers
	// Detail is an error number for ReasonConnect and ReasonReset, the parser's reason for
	// ReasonBadAnswer, or for both what record.ByHTTP2 makes of HTTP/2; the code for ReasonStatus, a tlsfault.Kind for reasons in TLS; 0 if
	// nothing more is known.
	Detail uint16
	At     int64 // on the clock of the board, to about a millisecond
}

// The parts of a word of State.LastFaults: the time, the phase and the detail.
const (
	faultTimeUnit   = 1 << 20 // nanoseconds
	faultTimeShift  = 20
	faultPhaseBits  = 4
	faultDetailBits = 16
)

// NoteFault notes a fault at now for one of FaultReasons; the others are those of
// LastFault. It counts a fault in TLS. Loops call it, and on faults only.
func (s *State) NoteFault(why Reason, phase uint8, detail uint16, now int64) {
	if why.InTLS() {
		s.TLSFaults[why-ReasonTLSName].Add(1)
	}
	at := uint64(now) / faultTimeUnit << faultTimeShift
	s.LastFaults[faultIndex(why)].Store(at | uint64(phase)&(1<<faultPhaseBits-1)<<faultDetailBits | uint64(detail))
}

// LastFaultOf returns the last fault for one of FaultReasons, and false if there was none.
func (s *State) LastFaultOf(why Reason) (f LastFault, any bool) {
	w := s.LastFaults[faultIndex(why)].Load()
	return LastFault{
		Why:    why,
		Phase:  uint8(w >> faultDetailBits & (1<<faultPhaseBits - 1)),
		Detail: uint16(w),
		At:     int64(w >> faultTimeShift * faultTimeUnit),
	}, w != 0
}

// FaultsInTLS returns how many faults in TLS were counted.
func (s *State) FaultsInTLS() (n uint64) {
	for i := range s.TLSFaults {
		n += s.TLSFaults[i].Load()
	}
	return n
}

// LastFault returns the last fault for any reason, and false if there was none.
func (s *State) LastFault() (last LastFault, any bool) {
	for _, why := range FaultReasons {
		if f, ok := s.LastFaultOf(why); ok && (!any || f.At > last.At) {
			last, any = f, true
		}
	}
	return last, any
}

// faultIndex returns the place of a reason in State.LastFaults.
func faultIndex(why Reason) int {
	for i, r := range FaultReasons {
		if r == why {
			return i
		}
	}
	panic("board: " + why.String() + " is no reason of a fault")
}
