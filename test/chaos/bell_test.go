//go:build linux

package main

import "testing"

func TestTrapSpringsWhileItsEventIsHeld(t *testing.T) {
	b := &bell{}
	sprung := 0
	b.set(eventPage, 3, func() { sprung = b.total()[eventPage] })
	b.ring(eventPage, 1)
	b.ring(eventCall, 5)
	b.ring(eventPage, 1)
	if sprung != 0 {
		t.Fatalf("it sprang at event %d; want 3", sprung)
	}
	b.ring(eventPage, 4) // several at once: the third is among them
	if sprung != 6 {
		t.Errorf("it did not spring before the bell came to rest: %d", sprung)
	}
	b.ring(eventPage, 9)
	if sprung != 6 {
		t.Error("it sprang twice")
	}
}

func TestTrapThatIsTakenAwayDoesNotSpring(t *testing.T) {
	b := &bell{}
	first := b.set(eventPage, 1, func() { t.Error("the first trap sprang") })
	second := b.set(eventPage, 1, func() { t.Error("the second trap sprang") })
	if first() {
		t.Error("the first trap was still set")
	}
	if !second() {
		t.Error("the second trap was not set")
	}
	b.ring(eventPage, 1)
}
