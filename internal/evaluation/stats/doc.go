// Package stats holds the statistics of the evaluation gate: numbers in, numbers out. It reads
// no file and no clock, and draws no random number but from the generator that it is given.
//
// Where scipy or statsmodels compute the same thing the tests compare with their results, see
// testdata/golden.py.
package stats
