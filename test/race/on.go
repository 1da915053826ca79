//go:build race

package race

// On says whether tests run under the race detector.
const On = true
