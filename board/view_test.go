package board

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// TestSlotsAreWords checks the conditions of the casts in view.go: the structs have words
// only, and totals have the same fields in the same places.
func TestSlotsAreWords(t *testing.T) {
	for _, tc := range []struct {
		slot, totals any
		words        int
	}{
		{Loop{}, LoopTotals{}, loopWords},
		{Backend{}, BackendTotals{}, backendWords},
		{Histogram{}, HistogramSum{}, histogramWords},
	} {
		slot, totals := reflect.TypeOf(tc.slot), reflect.TypeOf(tc.totals)
		if got, want := wordsOf(t, slot), wordsOf(t, totals); !strings.EqualFold(got, want) {
			t.Errorf("%v is not laid out as %v:\n%s\n%s", totals, slot, want, got)
		}
		if slot.Size() != uintptr(tc.words)*wordBytes || totals.Size() != slot.Size() {
			t.Errorf("%v has %d bytes, %v %d, want %d words", slot, slot.Size(), totals, totals.Size(), tc.words)
		}
		if slot.Align() > lineBytes {
			t.Errorf("%v wants an alignment of %d", slot, slot.Align())
		}
	}
	for typ, words := range map[reflect.Type]int{
		reflect.TypeFor[State](): stateWords, reflect.TypeFor[Control](): controlWords,
		reflect.TypeFor[refusal](): refusalsWords / refusalKinds, reflect.TypeFor[Tap](): tapWords,
	} {
		if typ.Size() != uintptr(words)*wordBytes || wordsOf(t, typ) == "" {
			t.Errorf("%v has %d bytes, want %d words", typ, typ.Size(), words)
		}
	}
	if wordSeries >= wordControl || wordControl+controlWords > wordTap || wordTap+tapWords > wordLogWait || wordLogWait >= headerWords {
		t.Error("the header's words overlap")
	}
	if s := reflect.TypeFor[Series](); seriesWords != s.NumField()*histogramWords || unsafe.Sizeof(SeriesSum{}) != s.Size() {
		t.Errorf("a series has %d words, want %d histograms of %d", seriesWords, s.NumField(), histogramWords)
	}
	for name, size := range map[string]uintptr{"Counter": unsafe.Sizeof(Counter{}), "Word": unsafe.Sizeof(Word{})} {
		if size != wordBytes {
			t.Errorf("a %s has %d bytes, want %d", name, size, wordBytes)
		}
	}
	// Words that are written often are on other lines than those that every loop reads.
	if at := unsafe.Offsetof(State{}.TTFB); at != lineBytes {
		t.Errorf("TTFB is %d bytes into a state, want it on the second line", at)
	}
	if at := unsafe.Offsetof(Backend{}.InFlight); at != 0 {
		t.Errorf("InFlight is %d bytes into a slot; Board.InFlight takes it for the first word", at)
	}
}

// wordsOf lists the fields of a struct of words by place, such as "1:Attempts".
func wordsOf(t *testing.T, typ reflect.Type) string {
	t.Helper()
	word := func(f reflect.Type) bool {
		return f == reflect.TypeFor[Counter]() || f == reflect.TypeFor[Word]() || f.Kind() == reflect.Uint64
	}
	var list []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := fmt.Sprintf("%d:%s", f.Offset/wordBytes, f.Name)
		switch {
		case word(f.Type):
		case f.Type.Kind() == reflect.Array && word(f.Type.Elem()):
			name += fmt.Sprintf("[%d]", f.Type.Len())
		default:
			t.Errorf("%v.%s is a %v, want a Counter, a Word or uint64", typ, f.Name, f.Type)
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

// TestLayoutVersion fails if a slot changes but layoutVersion does not: a new binary would
// misread an old one's board.
func TestLayoutVersion(t *testing.T) {
	const version8 = "0:ClientConns 1:BackendConns 2:BackendIdle 3:Exchanges 4:Tunnels 5:Accepted " +
		"6:AcceptErrors 7:Requests 8:Replies[6] 14:OwnReplies[6] 20:PoolLess[6] 26:BytesFromClient 27:BytesToClient " +
		"28:BytesFromBackend 29:BytesToBackend 30:Retries 31:Unrouted 32:ClientAborts 33:Panics 34:Turns " +
		"35:Handshakes[5] 40:HandshakeTimes[14] 54:HandshakeNanos " +
		"55:HTTP2Conns 56:HTTP2BackendConns 57:HTTP2Requests 58:HTTP2Refused 59:HTTP2Floods[16] 75:HTTP2Goaways 76:HTTP2Unprocessed " +
		"77:LogLines 78:LogLost 79:Faults[1024] 1103:OldestConfig\n" +
		"0:InFlight 1:Attempts 2:Replies[4] 6:ConnectFaults 7:ResetFaults 8:TimeoutFaults " +
		"9:BadAnswers 10:Conns 11:BytesFrom 12:BytesTo 13:Queued 14:FirstBytes 15:WaitsSince\n" +
		"0:Health 1:HealthSince 2:HealthReason 3:HealthDetail 4:EjectedUntil 5:EjectedSince 6:EjectedReason " +
		"7:EjectedDetail 8:EjectedLast 9:Ejections 10:Faults 11:Admin 12:WeightOverride 13:RecoveredAt 14:LeavingUntil 15:LeavingReason " +
		"16:TTFB 17:TTFBAt 18:IdleTold 19:IdleSeen 20:IdleSeenAt 21:Refusals 22:Clients 23:Targets 24:Recent " +
		"25:LastFaults[10] 35:Own[2] 37:StatusFaults 38:TLSFaults[5]\n" +
		"0:kind 1:count 2:turn 3:at 4:sizes 5:who[6] 11:text[8] 19:line[8]\n" +
		"0:WorkerRestarts 1:Reloads 2:ReloadFaults 3:Upgrades 4:StartedAt 5:LogWriteLost 6:SpansLost\n" +
		"0:Until 1:number 2:bits 3:addr[2] 5:size 6:id[16]\n" +
		"258 buckets, 259 words, 1295 words a series, first bound -160; 256 faults, 64 taps, 256 spans of 512 words, 4194304 bytes of log\n" +
		"header 80, 3 loops: 80 1968, 2 backends: 5984 112, slots: 48 16, series: 6208 1296, rings: 10096 819280, all 2467936"
	if logBytes != 4<<20 {
		t.Skip("the list is that of Linux where addresses have 64 bits")
	}
	s := shape{loops: 3, backends: 2, series: 1}
	got := wordsOf(t, reflect.TypeFor[Loop]()) + "\n" + wordsOf(t, reflect.TypeFor[Backend]()) + "\n" +
		wordsOf(t, reflect.TypeFor[State]()) + "\n" +
		wordsOf(t, reflect.TypeFor[refusal]()) + "\n" + wordsOf(t, reflect.TypeFor[Control]()) + "\n" + wordsOf(t, reflect.TypeFor[Tap]()) + "\n" +
		fmt.Sprintf("%d buckets, %d words, %d words a series, first bound %d; %d faults, %d taps, %d spans of %d words, %d bytes of log\n",
			HistogramBuckets, histogramWords, seriesWords, FirstBound, FaultsKept, TapsKept, SpansKept, entryWords, logBytes) +
		fmt.Sprintf("header %d, 3 loops: %d %d, 2 backends: %d %d, slots: %d %d, series: %d %d, rings: %d %d, all %d", headerWords,
			s.loopStart(0), s.loopStart(1)-s.loopStart(0), s.blockStart(0), s.blockWords(),
			s.backendStart(0, 0)-s.blockStart(0), s.backendStart(1, 0)-s.backendStart(0, 0),
			s.seriesStart(0, 0), s.seriesStart(1, 0)-s.seriesStart(0, 0), s.ringsStart(0), s.ringsStart(1)-s.ringsStart(0), s.words())
	if got != version8 || layoutVersion != 8 {
		t.Errorf("version %d has the words\n%s\nwant a new layoutVersion and its list here", layoutVersion, got)
	}
}

// TestOddLines: the same word of neighbouring backends is an odd number of lines apart, so
// that over many backends it uses every set of a cache.
func TestOddLines(t *testing.T) {
	for loops := 1; loops <= loopsMax; loops++ {
		words := shape{loops: loops}.blockWords()
		if words%lineWords != 0 || words/lineWords%2 != 1 {
			t.Fatalf("%d loops: a block of %d words, want an odd number of lines", loops, words)
		}
		if least := lines(stateWords) + loops*lines(backendWords); words < least || words > least+lineWords {
			t.Fatalf("%d loops: a block of %d words for %d", loops, words, least)
		}
	}
}

// TestLines: no two slots share a line.
func TestLines(t *testing.T) {
	for _, s := range []shape{{loops: 1}, {loops: 1, backends: 1}, {loops: 2, backends: 3, series: 2}, {loops: 16, backends: 100, series: 3}} {
		b := New(s.loops, s.backends)
		owner := make(map[uintptr]string)
		claim := func(name string, at unsafe.Pointer, size uintptr) {
			first, last := uintptr(at)/lineBytes, (uintptr(at)+size-1)/lineBytes
			if uintptr(at)%lineBytes != 0 {
				t.Errorf("%v: %s begins %d bytes into a line", s, name, uintptr(at)%lineBytes)
			}
			for line := first; line <= last; line++ {
				if other, taken := owner[line]; taken {
					t.Errorf("%v: %s shares a line with %s", s, name, other)
				}
				owner[line] = name
			}
		}
		claim("header", unsafe.Pointer(&b.words[0]), lineBytes)
		claim("control", unsafe.Pointer(b.Control()), unsafe.Sizeof(Control{}))
		claim("tap", unsafe.Pointer(b.Tap()), unsafe.Sizeof(Tap{}))
		claim("log wait", unsafe.Pointer(&b.words[wordLogWait]), wordBytes)
		for i := range s.loops {
			claim(fmt.Sprintf("loop %d", i), unsafe.Pointer(b.Loop(i)), unsafe.Sizeof(Loop{}))
			log := b.LogRing(i)
			claim(fmt.Sprintf("loop %d, head of the log", i), unsafe.Pointer(log.head), wordBytes)
			claim(fmt.Sprintf("loop %d, tail of the log", i), unsafe.Pointer(log.tail), wordBytes)
			claim(fmt.Sprintf("loop %d, log", i), unsafe.Pointer(&log.text[0]), uintptr(len(log.text)))
			for name, r := range map[string]*Ring{"faults": b.FaultRing(i), "taps": b.TapRing(i), "spans": b.SpanRing(i)} {
				claim(fmt.Sprintf("loop %d, next of %s", i, name), unsafe.Pointer(r.next), wordBytes)
				claim(fmt.Sprintf("loop %d, %s", i, name), unsafe.Pointer(&r.entries[0]), uintptr(len(r.entries)*wordBytes))
			}
			for j := range s.backends { // as many series
				claim(fmt.Sprintf("loop %d series %d", i, j), unsafe.Pointer(b.Series(i, j)), unsafe.Sizeof(Series{}))
			}
			for j := range s.backends {
				claim(fmt.Sprintf("loop %d backend %d", i, j), unsafe.Pointer(b.Backend(i, j)), unsafe.Sizeof(Backend{}))
			}
		}
		for j := range s.backends {
			claim(fmt.Sprintf("state %d", j), unsafe.Pointer(b.State(j)), unsafe.Sizeof(State{}))
		}
		end := uintptr(unsafe.Pointer(&b.words[0])) + uintptr(s.bytes())
		if slots := uintptr(len(owner)); slots > uintptr(s.bytes())/lineBytes || owner[end/lineBytes] != "" {
			t.Errorf("%v: slots reach beyond the board's %d bytes", s, s.bytes())
		}
	}
}
