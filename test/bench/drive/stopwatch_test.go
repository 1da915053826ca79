package drive

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTimeCountsForTheInnermostPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		Take()
		func() {
			defer Leave(Enter(Insert))
			time.Sleep(2 * time.Millisecond)
			func() {
				defer Leave(Enter(Call))
				time.Sleep(3 * time.Millisecond)
			}()
			time.Sleep(4 * time.Millisecond)
		}()
		time.Sleep(time.Second)
		func() {
			defer Leave(Enter(Detail))
			time.Sleep(5 * time.Millisecond)
		}()
		want := Sums{Call: 3 * time.Millisecond, Detail: 5 * time.Millisecond, Insert: 6 * time.Millisecond}
		if got := Take(); got != want {
			t.Errorf("sums %+v, want %+v", got, want)
		}
		if got := Take(); got != (Sums{}) {
			t.Errorf("then %+v", got)
		}
	})
}

func TestStallsMeetTheJobsBesideThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := func(d time.Duration) bool {
			from := time.Now()
			time.Sleep(d)
			return Stalled(from, time.Now())
		}
		if job(time.Millisecond) {
			t.Error("a job without anything beside it is stalled")
		}
		go func() {
			defer End(Begin())
			time.Sleep(2 * time.Millisecond)
		}()
		if !job(3 * time.Millisecond) {
			t.Error("a job with something beside it is not")
		}
		if job(time.Millisecond) {
			t.Error("the next job is")
		}
	})
}
