package pipeline

import (
	"context"
	"fmt"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
)

// Codes of the errors that the pipeline itself makes.
const (
	CodeKilled = "killed"           // the job was killed with its process too often
	CodeFailed = "failed_too_often" // the limit was lowered, or a crash came between failure and end
	CodePanic  = "panic"            // a defect in a stage
	CodeLost   = "lost"             // the queue no longer knows the job
	CodeTime   = "attempt_timeout"  // the queue's limit for one attempt
)

// failed is the end of a job whose last attempt returned err.
func failed(err error) store.Ending {
	return store.Ending{
		Outcome: commentator.OutcomeError, ErrorType: commentator.ErrorCode(err), ErrorMessage: err.Error(),
	}
}

// withdrawn is the end of a job whose link was taken back.
func withdrawn(err error) store.Ending {
	return store.Ending{
		Outcome: commentator.OutcomeCancelled, ErrorType: commentator.ErrorCode(err), ErrorMessage: err.Error(),
	}
}

// announced says whether people in Slack are told of an end: when there is no comment though
// somebody may wait for one.
func (p *Pipeline) announced(ctx context.Context, end store.Ending) store.Ending {
	end.Notice = p.Failed != nil && !queue.Quiet(ctx) && (end.Outcome == commentator.OutcomeError || end.Outcome == commentator.OutcomeGateFailed)
	return end
}

func (p *Pipeline) announce(jobID int64, end store.Ending) {
	if end.Notice {
		p.Failed(jobID)
	}
}

// exhausted is the end of a job that may not be tried again.
func exhausted(a store.Attempt) store.Ending {
	if a.Job.Kills >= commentator.MaxKills {
		return store.Ending{
			Outcome: commentator.OutcomeError, ErrorType: CodeKilled,
			ErrorMessage: fmt.Sprintf("The worker was killed %d times while it worked on this job; something in the page may kill it.", a.Job.Kills),
		}
	}
	end := store.Ending{
		Outcome: commentator.OutcomeError, ErrorType: CodeFailed,
		ErrorMessage: fmt.Sprintf("%d attempts failed.", a.Job.Failures),
	}
	for _, r := range a.Stages {
		if r.Failed() {
			end.ErrorType, end.ErrorMessage = r.ErrorType, r.ErrorMessage
		}
	}
	return end
}

// panicked is the error of a stage that panicked. It may be repeated: what it met may pass.
func panicked(s commentator.Stage, value any) error {
	return &commentator.Error{
		Code:    CodePanic,
		Message: fmt.Sprintf("Stage %s stopped by a defect of this program; please report it", s),
		Err:     fmt.Errorf("panic: %v", value),
	}
}

// timedOut is the error of a stage that ran, or was to begin, when the time of the attempt was over.
func timedOut(s commentator.Stage) error {
	return &commentator.Error{Code: CodeTime, Message: fmt.Sprintf("The time of the attempt was over before stage %s ended", s)}
}

// lost is the end of a job that the queue will never try again.
func lost(fate queue.Fate) store.Ending {
	if fate == queue.FateCancelled {
		return store.Ending{Outcome: commentator.OutcomeCancelled, ErrorType: "cancelled", ErrorMessage: "The job was cancelled in the queue."}
	}
	return store.Ending{
		Outcome: commentator.OutcomeError, ErrorType: CodeLost,
		ErrorMessage: fmt.Sprintf("The queue will not try this job again (%s); repeat it with replay --again.", fate),
	}
}
