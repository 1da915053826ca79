// Package race says whether tests run under the race detector, which makes them five to ten
// times as slow. What repeats the same at many places takes fewer of them then: whoever
// touches what without a lock is found at the first. `make test` runs these tests without
// the detector too, at every place.
package race

// Pick returns usual, or under when the race detector is on.
func Pick(usual, under int) int {
	if detector {
		return under
	}
	return usual
}
