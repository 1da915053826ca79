package counted

import "testing"

func TestOneIsSingular(t *testing.T) {
	for n, want := range []string{"0 jobs", "1 job", "2 jobs"} {
		if got := Of(n, "job"); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for n, want := range []string{"0 are", "1 is", "2 are"} {
		if got := Form(int64(n), "is", "are"); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
