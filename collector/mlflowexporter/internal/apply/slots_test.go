package apply

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// Who is ahead gets the next slot, the others get theirs in their order, and who gives up takes
// none away.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slots{free: 1}
		if err := s.take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		var order []string
		wait := func(name string, ctx context.Context, ahead bool) {
			go func() {
				if s.take(ctx, ahead) == nil {
					order = append(order, name)
					s.giveBack()
				}
			}()
			synctest.Wait()
		}
		gone, giveUp := context.WithCancel(t.Context())
		wait("first", t.Context(), false)
		wait("gone", gone, true)
		wait("second", t.Context(), false)
		wait("ahead", t.Context(), true)
		giveUp()
		synctest.Wait()
		s.giveBack()
		synctest.Wait()
		if diff := cmp.Diff([]string{"ahead", "first", "second"}, order); diff != "" || s.free != 1 {
			t.Errorf("%d slots are free, -want +got:\n%s", s.free, diff)
		}
		if err := s.take(gone, false); err == nil || s.free != 1 {
			t.Errorf("who gave up got a slot: %v, %d are free", err, s.free)
		}
	})
}

// A slot that was given at the moment of giving up goes to the next.
func TestSlotGivenToWhoGaveUp(t *testing.T) {
	for range 200 {
		s := slots{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.take(ctx, false) }()
		go cancel()
		s.giveBack()
		if err := <-done; err == nil {
			s.giveBack()
		}
		if err := s.take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
}
