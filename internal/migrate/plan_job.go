package migrate

import (
	"fmt"
	"strconv"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
)

// statusOther is how the report calls what is none of the four.
const statusOther = "other"

func (p *planner) job(old OldJob) {
	status := old.Status.String
	switch status {
	case statusPending, statusProcessing, statusDone, statusFailed:
	default:
		status = statusOther
	}
	count := p.report.status(status)
	count.Read++
	if old.ID < 1 || old.ID > maxID {
		count.LeftOut++
		p.leaveOut("jobs", old.ID, "its id is not from 1 to 2^53")
		return
	}
	m, ok := p.found[old.place()]
	if !ok {
		m = p.placeholder(old)
	}
	j := commentator.Job{
		ID: old.ID, MessageID: m.ID, URL: firstLink(m.Text), RetryOf: p.newest[m.ID],
		State: commentator.JobPending, Attempt: p.attempts(old),
	}
	p.newest[m.ID] = j.ID
	if t, ok := parseTime(old.CreatedAt.String); ok {
		j.CreatedAt = t
	} else {
		j.CreatedAt = m.ReceivedAt
		p.remarkTime("jobs", j.ID, "created_at", old.CreatedAt, "that of its message stands for it")
	}
	switch {
	case status != statusPending && status != statusProcessing:
		p.ended(&j, old)
	case !ok:
		p.end(&j, old, commentator.OutcomeError, errorNoMessage, "The old database does not hold the message of this job.")
	case p.open[m.ID] != 0:
		p.end(&j, old, commentator.OutcomeCancelled, errorDuplicate, fmt.Sprintf("Job %d is about the same link and goes on.", p.open[m.ID]))
		p.report.remark("jobs", j.ID, remarkDuplicate, "job %d of the same message goes on; this one is cancelled", p.open[m.ID])
	default:
		p.open[m.ID] = j.ID
		if _, there := p.heldJobs[j.ID]; status == statusProcessing && !there {
			p.report.remark("jobs", j.ID, remarkUnsure,
				"it was being processed; if the old program has answered and did not say so, end it with `commentator jobs cancel %d` before the worker starts", j.ID)
		}
	}
	p.settle(j, count, status)
}

// ended carries over how the old program ended a job.
func (p *planner) ended(j *commentator.Job, old OldJob) {
	switch {
	case old.Status.String == statusFailed:
		p.end(j, old, commentator.OutcomeError, errorOld, p.text("jobs", old.ID, "last_error", old.LastError))
	case old.Status.String == statusDone && j.URL == "":
		p.end(j, old, commentator.OutcomeNoURLs, "", "")
	case old.Status.String == statusDone:
		p.end(j, old, commentator.OutcomeSuccess, "", "")
	default:
		p.end(j, old, commentator.OutcomeCancelled, errorStatus, fmt.Sprintf("The old deployment left it with the status %s.", shown(old.Status)))
		p.report.remark("jobs", j.ID, remarkStatus, "status %s is not known; it is final and cancelled", shown(old.Status))
	}
}

// end makes a job final that is recorded nowhere. When it began nobody knows.
func (p *planner) end(j *commentator.Job, old OldJob, outcome commentator.Outcome, code, message string) {
	j.State, j.Outcome, j.Detail = commentator.JobFinal, outcome, commentator.DetailOff
	j.ErrorType, j.ErrorMessage = code, message
	j.StartedAt = j.CreatedAt
	if t, ok := parseTime(old.UpdatedAt.String); ok {
		j.FinishedAt = t
	} else {
		j.FinishedAt = j.CreatedAt
		p.remarkTime("jobs", j.ID, "updated_at", old.UpdatedAt, "created_at stands for it")
	}
}

// settle puts the job beside what is held.
func (p *planner) settle(j commentator.Job, count *JobCounts, status string) {
	held, ok := p.heldJobs[j.ID]
	switch {
	case !ok:
		p.in.Jobs = append(p.in.Jobs, store.ImportedJob{Job: j, LinkKey: p.linkKey(j.URL)})
	case held.MessageID != j.MessageID:
		p.conflicts = append(p.conflicts, fmt.Sprintf("job %d is another one here", j.ID))
		return
	case j.State == commentator.JobFinal && held.State == commentator.JobPending && held.StartedAt.IsZero():
		p.in.Ended = append(p.in.Ended, j)
		p.report.remark("jobs", j.ID, remarkEnded, "it waited here and is %s in the old database by now; it is final here too", status)
	default:
		count.There++
		if status == statusDone && held.Outcome != commentator.OutcomeCancelled && !held.FinishedAt.Equal(j.FinishedAt) {
			p.report.remark("jobs", j.ID, remarkBoth, "it is done in the old database and was begun here too; look whether the thread has two replies")
		}
		return
	}
	switch {
	case j.State != commentator.JobFinal:
		count.GoOn++
	case j.Outcome == commentator.OutcomeNoURLs:
		count.NoLink++
	case j.Outcome == commentator.OutcomeSuccess:
		count.Done++
	case j.Outcome == commentator.OutcomeError:
		count.Failed++
	default:
		count.Cancelled++
	}
}

// placeholder is the message of a job whose own is not there or was left out. Without it the
// job could not be kept, and its message would be answered once more when it comes again.
func (p *planner) placeholder(old OldJob) commentator.Message {
	if m, ok := p.made[old.place()]; ok {
		return m
	}
	m := commentator.Message{
		Channel: p.text("jobs", old.ID, "channel_id", old.Channel), TS: p.text("jobs", old.ID, "message_ts", old.TS),
		ReceivedAt: p.now,
	}
	if t, ok := parseTime(old.CreatedAt.String); ok {
		m.ReceivedAt = t
	} else if t, err := commentator.ParseTS(m.TS); err == nil {
		m.ReceivedAt = t
	}
	at := place{m.Channel, m.TS}
	what := "one without a text was made"
	if held, ok := p.heldPlaces[at]; ok {
		m, what = held, fmt.Sprintf("message %d here stands for one", held.ID)
	} else if id, ok := p.places[at]; ok {
		m.ID, what = id, fmt.Sprintf("message %d stands for one", id)
	} else {
		m.ID = p.newID()
		p.places[at] = m.ID
		p.in.Messages = append(p.in.Messages, m)
		p.report.Messages.Made++
	}
	m.Text = ""
	p.made[old.place()] = m
	p.report.remark("jobs", old.ID, remarkOrphan, "there is no message for it; %s", what)
	return m
}

func (p *planner) attempts(old OldJob) int {
	n, err := strconv.Atoi(old.Attempts.String)
	if err != nil || n < 0 || n > maxAttempts {
		p.report.remark("jobs", old.ID, remarkAttempts, "attempts %s is no number of attempts; 0 stands for it", shown(old.Attempts))
		return 0
	}
	return n
}

func (p *planner) linkKey(link string) string {
	if link == "" || p.cfg.LinkKey == nil {
		return ""
	}
	return p.cfg.LinkKey(link)
}
