// Package race says whether tests run under the race detector, which makes them five to ten
// times as slow. What repeats the same at many places takes fewer of them then: whoever
// touches what without a lock is found at the first. What starts the same program again and
// again leaves out what others have started. `make test` runs these tests without the
// detector too, at every place.
package race

// Pick returns usual, or under when the race detector is on.
func Pick(usual, under int) int {
	if On {
		return under
	}
	return usual
}
