// Package compare decides whether a change made the comments better or worse: two samples in, a
// verdict out. A sample is what an evaluation came to, reduced to counts for each example.
//
// Three verdicts, and what they claim:
//
//	PASS          the pass rate did not drop by the minimum effect or more, and is not below the threshold
//	FAIL          it dropped, or it is below the threshold, and chance does not explain it
//	INCONCLUSIVE  the examples cannot tell; the result says how many more could
//
// The examples are the unit: repetitions of one are counted together, and the two sides are
// compared example by example. docs/EVALUATION.md derives the numbers.
package compare
