package proxy

import (
	"lb/proxy/record"
	"slices"
	"strconv"
	"strings"
)

// checkRecords compares the records of a run with the view of clients and backends.
func (s *sim) checkRecords() {
	records := make(map[int]*kept)
	for i := range s.r.rec.records {
		k := &s.r.rec.records[i]
		if k.method == "" {
			continue
		}
		id, err := strconv.Atoi(strings.TrimPrefix(k.target, "/"))
		if err != nil || id >= len(s.requests) || records[id] != nil {
			s.errorf("a second record of a request, or of none: %v", k)
			continue
		}
		records[id] = k
		s.checkRecord(s.requests[id], k)
	}
	for _, r := range s.requests {
		if records[r.id] == nil && r.got > 0 && !r.gotOwn {
			s.errorf("request %d was answered, and has no record", r.id)
		}
	}
}

// checkRecord compares the record of one request with the known facts.
func (s *sim) checkRecord(r *simRequest, k *kept) {
	wrong := func(is bool, what string) {
		if is {
			s.errorf("request %d, arrived %d times, at %b, got %d with %d bytes, own %t: %s: %v",
				r.id, r.arrived, r.at, r.got, r.gotBody, r.gotOwn, what, *k)
		}
	}
	s.checkRecordIDs(r, k)
	wrong(k.method != r.method || k.host != simHost(r.pool), "another request")
	wrong(k.Attempts < r.arrived, "fewer attempts than conns on which it came")
	wrong(r.wholly && !k.Tunnel && k.BytesIn != int64(len(r.body)), "not its bytes in")
	if k.Fault.Cause == record.CauseGone && k.Fault.Phase == record.Pick {
		s.left++
	}
	wrong(r.left && (k.Fault.Cause != record.CauseGone || k.Fault.Phase != record.Pick), "it did not wait for room")
	switch {
	case r.got == 0:
		return
	case r.got != k.Status || r.gotOwn != k.Own:
		wrong(true, "another status")
	case k.Own:
		wrong(r.method != "HEAD" && k.Bytes != int64(r.gotBody), "not the bytes of lb's reply")
		return
	}
	wrong(k.Bytes != int64(r.gotBody), "not its bytes")
	// An answer with a length looks whole before its stream has ended.
	late := r.framing == "length" && k.Fault.Phase == record.Relay && slices.ContainsFunc(s.pools, isH2)
	wrong(!s.isAt(k.Backend, r.at), "another backend")
	wrong(k.Fault.Cause != record.NoCause && !r.early && !late, "a fault, though the answer was whole")
}

// isAt reports whether name is that of the backend at one of these places.
func (s *sim) isAt(name string, places uint) bool {
	for place := range simPlaces {
		if places>>place&1 == 0 {
			continue
		}
		for _, b := range s.pools[s.poolOf[place]].Backends {
			if b.String() == name && rigAddr(b) == rigBackend(place) {
				return true
			}
		}
	}
	return false
}
