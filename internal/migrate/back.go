package migrate

import (
	"cmp"
	"database/sql"
	"slices"
	"strconv"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/store"
)

// back turns what a database of ours holds into old rows. It does no input or output.
func back(held store.Contents) (Tables, Report) {
	t := Tables{LastMessageID: held.LastMessageID, LastJobID: held.LastJobID}
	r := Report{Remarks: []Remark{}, Settings: []string{}}
	jobs := map[int64][]store.HeldJob{} // by message
	for _, j := range held.Jobs {
		jobs[j.MessageID] = append(jobs[j.MessageID], j)
	}
	for _, m := range held.Messages {
		r.Messages.Read++
		if m.Channel == commentator.ReplayChannel {
			leaveOutReplay(&r, m, jobs[m.ID])
			continue
		}
		r.Messages.Added++
		t.Messages = append(t.Messages, OldMessage{
			ID: m.ID, Channel: given(m.Channel), TS: given(m.TS), Thread: orNull(m.ThreadTS), User: orNull(m.User), Text: orNull(m.Text),
			CreatedAt: given(m.ReceivedAt.UTC().Format(oldTime)), Status: given(statusReceived),
		})
		if len(jobs[m.ID]) == 0 {
			r.Messages.WithoutJob++
			continue
		}
		t.Jobs = append(t.Jobs, backJob(&r, m, jobs[m.ID]))
	}
	slices.SortFunc(t.Jobs, func(a, b OldJob) int { return cmp.Compare(a.ID, b.ID) })
	return t, r
}

func given(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }

func orNull(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// called is how the report calls a job of ours.
func called(j store.HeldJob) string {
	if j.State == commentator.JobFinal {
		return string(j.Outcome)
	}
	return string(j.State)
}

// leaveOutReplay leaves out what the old program could not answer.
func leaveOutReplay(r *Report, m commentator.Message, jobs []store.HeldJob) {
	r.Messages.LeftOut++
	r.remark("messages", m.ID, remarkLeftOut, "left out with its %s, since its links came from the command line", counted.Of(len(jobs), "job"))
	for _, j := range jobs {
		c := r.status(called(j))
		c.Read++
		c.LeftOut++
	}
}

// backJob makes the one old row of a message's jobs.
func backJob(r *Report, m commentator.Message, jobs []store.HeldJob) OldJob {
	stands := stand(jobs)
	for _, j := range jobs {
		c := r.status(called(j))
		c.Read++
		if j.ID == stands.ID {
			count(r, c, j)
			continue
		}
		c.Merged++
		r.remark("jobs", j.ID, remarkMerged, "it is %s; the old program has one job for a message, which is %d", called(j), stands.ID)
	}
	status, lastError := oldStatus(stands)
	updated := stands.FinishedAt
	if updated.IsZero() {
		updated = later(stands.CreatedAt, stands.StartedAt)
	}
	return OldJob{
		ID: stands.ID, Channel: given(m.Channel), TS: given(m.TS), Status: given(status), Attempts: given(strconv.Itoa(stands.Attempt)),
		LastError: orNull(lastError), CreatedAt: given(stands.CreatedAt.UTC().Format(oldTime)), UpdatedAt: given(updated.UTC().Format(oldTime)),
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// stand returns the job that stands for all of a message, the oldest first. The old program
// works on the first link alone, so it is one of that link: an open one, else the newest. A
// link that was taken back is none any more, and one without a link counts only when it is all.
func stand(jobs []store.HeldJob) store.HeldJob {
	here := slices.DeleteFunc(slices.Clone(jobs), func(j store.HeldJob) bool { return j.Withdrawn || j.URL == "" })
	if len(here) == 0 {
		here = jobs
	}
	best := here[0]
	for _, j := range here {
		if j.URL == here[0].URL && (best.State == commentator.JobFinal || j.State != commentator.JobFinal) {
			best = j
		}
	}
	return best
}

// oldStatus is the status of an old job. What has been answered is done, whatever is still to
// be written down here: the old program would answer it once more.
func oldStatus(j store.HeldJob) (status, lastError string) {
	switch {
	case j.State != commentator.JobFinal && j.Replied:
		return statusDone, ""
	case j.State != commentator.JobFinal && j.Withdrawn:
		return statusFailed, "The link was taken back."
	case j.State != commentator.JobFinal:
		return statusPending, ""
	case j.Outcome == commentator.OutcomeError, j.Outcome == commentator.OutcomeCancelled:
		return statusFailed, j.ErrorMessage
	}
	return statusDone, ""
}

func count(r *Report, c *JobCounts, j store.HeldJob) {
	switch status, _ := oldStatus(j); {
	case status == statusPending:
		c.GoOn++
		if j.Asked {
			r.remark("jobs", j.ID, remarkUnsure, "it was just being posted; look whether its reply is in the thread before the old program goes on")
		}
	case status == statusFailed:
		c.Failed++
	case j.Outcome == commentator.OutcomeNoURLs:
		c.NoLink++
	default:
		c.Done++
	}
}
