package main

import "errors"

type evalCommand struct {
	Compare  evalCompareCommand  `cmd:"" help:"Compare two evaluations example by example: PASS, FAIL or INCONCLUSIVE."`
	Gate     evalGateCommand     `cmd:"" help:"Compare an evaluation with the baseline and the threshold, for CI."`
	Baseline evalBaselineCommand `cmd:"" help:"Reduce an evaluation to a baseline, a small file for git."`
	AA       evalAACommand       `cmd:"" name:"aa" help:"Measure how often the gate is wrong about unchanged comments, and how many examples are needed."`
	Trend    evalTrendCommand    `cmd:"" help:"Show pass rate, cost and latency by prompt version over time, and what failing examples have in common."`
}

// Exit codes of the commands below eval.
const (
	exitEvalFailed       = 1 // an evaluation that does not pass
	exitEvalInconclusive = 2 // too little is known
	exitEvalImpossible   = 3 // it could not be carried out
)

// evalEnd is the end of a command below eval with a code of its own. Err may be nil: everything
// has been said.
type evalEnd struct {
	code int
	err  error
}

func (e evalEnd) Error() string {
	if e.err == nil {
		return "said already"
	}
	return e.err.Error()
}

func (e evalEnd) Unwrap() error { return e.err }

// impossible makes an error one of a command that could not be carried out.
func impossible(err error) error {
	var end evalEnd
	if err == nil || errors.As(err, &end) {
		return err
	}
	return evalEnd{exitEvalImpossible, err}
}
