package bytesize

import "testing"

func TestUnits(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 1_500_000: "1.5 MB", 2_340_000_000: "2.3 GB",
	} {
		if got := Format(n); got != want {
			t.Errorf("%d bytes are %s, want %s", n, got, want)
		}
	}
}
