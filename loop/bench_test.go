package loop

import (
	"testing"
	"time"
)

// BenchmarkArmLater is the cost of moving a deadline later, which every relayed
// byte does: a store.
func BenchmarkArmLater(b *testing.B) {
	l := New(newFake(b), Options{})
	e := &expirer{}
	at := l.Now().Add(time.Second)
	b.ReportAllocs()
	for b.Loop() {
		at++
		l.Arm(&e.Timer, e, at)
	}
}

func BenchmarkArmDisarm(b *testing.B) {
	l := New(newFake(b), Options{})
	e := &expirer{}
	b.ReportAllocs()
	for b.Loop() {
		l.Arm(&e.Timer, e, l.Now().Add(time.Second))
		l.Disarm(&e.Timer)
	}
}

// BenchmarkArmFire arms and fires 1000 timers; the time is for one.
func BenchmarkArmFire(b *testing.B) {
	const n = 1000
	var w wheel
	var timers [n]Timer
	now := w.wakeAt().Add(time.Second)
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		for i := range timers {
			w.arm(&timers[i], now.Add(time.Duration(i)*time.Millisecond))
		}
		now = now.Add(2 * n * time.Millisecond)
		for w.collect(now); w.pop(now) != nil; {
		}
		rounds++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*n), "ns/timer")
}

// BenchmarkEchoRoundTrip is one message to the loop and back, over TCP on loopback.
// Both ends are on this thread.
func BenchmarkEchoRoundTrip(b *testing.B) {
	l, fd := echoPair(b)
	text, buf := make([]byte, 128), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, l, fd, text, buf)
	}
}

// BenchmarkEmptyTurn is the loop's own share: one event that nobody reads.
func BenchmarkEmptyTurn(b *testing.B) {
	k := &onlyEvents{fakeKernel: newFake(b)}
	l := New(k, Options{})
	p := &part{}
	if err := l.Adopt(&p.Conn, p, 5); err != nil {
		b.Fatal(err)
	}
	k.event = k.of(5, Writable)
	b.ReportAllocs()
	for b.Loop() {
		l.Turn(false)
	}
}

// onlyEvents returns the same event from every Wait, and records nothing.
type onlyEvents struct {
	*fakeKernel
	event Event
}

func (k *onlyEvents) Wait(events []Event, _ time.Duration) (int, error) {
	events[0] = k.event
	return 1, nil
}

// BenchmarkPoll is a poll that finds nothing.
func BenchmarkPoll(b *testing.B) {
	k, err := NewKernel()
	if err != nil {
		b.Fatal(err)
	}
	defer k.(KernelCloser).CloseKernel()
	events := make([]Event, 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Wait(events, 0); err != nil {
			b.Fatal(err)
		}
	}
}
