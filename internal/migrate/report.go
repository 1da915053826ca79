package migrate

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report says what became of each row. Its JSON names are a contract.
type Report struct {
	From   string `json:"from"`
	To     string `json:"to"`
	DryRun bool   `json:"dry_run"` // nothing was written
	Worker bool   `json:"worker"`  // a worker runs on the database of this program

	Messages MessageCounts `json:"messages"`
	Jobs     []*JobCounts  `json:"jobs"` // one for each status that was read, also with zeros
	Remarks  []Remark      `json:"remarks"`
	Settings []string      `json:"settings"` // lines for .env
}

// MessageCounts add up: Read = Added + There + LeftOut.
type MessageCounts struct {
	Read    int `json:"read"`
	Added   int `json:"added"`
	There   int `json:"there"` // from an earlier run
	LeftOut int `json:"left_out"`

	WithoutJob int `json:"without_job"` // of those read
	Made       int `json:"made"`        // for jobs whose message is not in the old database
}

// JobCounts add up: Read is the sum of all others.
type JobCounts struct {
	Status    string `json:"status"` // of the job where it was read
	Read      int    `json:"read"`
	GoOn      int    `json:"go_on"`     // will be worked on
	Done      int    `json:"done"`      // answered, or refused by the gates
	NoLink    int    `json:"no_link"`   // done, its message holds no link
	Failed    int    `json:"failed"`    // ended with an error
	Cancelled int    `json:"cancelled"` // ended without being worked on
	There     int    `json:"there"`     // from an earlier run
	Merged    int    `json:"merged"`    // another job of its message stands for it
	LeftOut   int    `json:"left_out"`
}

// Remark is a row that was not taken over as it is.
type Remark struct {
	Table string `json:"table"` // messages, jobs, or empty: it is about the whole database
	ID    int64  `json:"id"`
	Code  string `json:"code"` // for machines
	What  string `json:"what"` // what was wrong, and what was done
}

// The codes of remarks.
const (
	remarkText      = "text"        // characters were replaced
	remarkTime      = "time"        // a time cannot be read
	remarkStatus    = "status"      // a status is not known
	remarkAttempts  = "attempts"    // a number cannot be read
	remarkOrphan    = "no_message"  // a job without its message
	remarkDuplicate = "duplicate"   // a second open job of a message
	remarkLeftOut   = "left_out"    // a row is not taken over
	remarkEnded     = "ended_since" // a job that waited was done by the other program meanwhile
	remarkBoth      = "both"        // both programs worked on a job
	remarkUnknown   = "unknown"     // a table or column that is not of the old deployment
	remarkMerged    = "merged"      // a job that another one of its message stands for
	remarkID        = "id"          // a row has another id here
	remarkUnsure    = "unsure"      // Slack may hold the reply of a job that goes on
)

func (r *Report) remark(table string, id int64, code, format string, args ...any) {
	r.Remarks = append(r.Remarks, Remark{Table: table, ID: id, Code: code, What: fmt.Sprintf(format, args...)})
}

// status returns the counts of a status.
func (r *Report) status(name string) *JobCounts {
	for _, c := range r.Jobs {
		if c.Status == name {
			return c
		}
	}
	r.Jobs = append(r.Jobs, &JobCounts{Status: name})
	return r.Jobs[len(r.Jobs)-1]
}

// Total adds up all statuses.
func (r *Report) Total() *JobCounts {
	t := &JobCounts{Status: "all"}
	for _, c := range r.Jobs {
		t.Read += c.Read
		t.GoOn += c.GoOn
		t.Done += c.Done
		t.NoLink += c.NoLink
		t.Failed += c.Failed
		t.Cancelled += c.Cancelled
		t.There += c.There
		t.Merged += c.Merged
		t.LeftOut += c.LeftOut
	}
	return t
}

// LeftOut is how many rows are not in the database that was written.
func (r *Report) LeftOut() int { return r.Messages.LeftOut + r.Total().LeftOut }

// remarksShown is how many remarks of one kind are printed; JSON has all.
const remarksShown = 10

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	verb := "written to"
	if r.DryRun {
		verb = "nothing was written; without --dry-run it goes to"
	}
	fmt.Fprintf(w, "%s, %s %s\n\n", r.From, verb, r.To)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "JOBS\tREAD\tGO ON\tDONE\tNO LINK\tFAILED\tCANCELLED\tTHERE\tMERGED\tLEFT OUT\t")
	for _, c := range append(slices.Clone(r.Jobs), r.Total()) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n",
			c.Status, c.Read, c.GoOn, c.Done, c.NoLink, c.Failed, c.Cancelled, c.There, c.Merged, c.LeftOut)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	m := r.Messages
	fmt.Fprintf(w, "\nmessages: %d read, %d added, %d were there, %d left out", m.Read, m.Added, m.There, m.LeftOut)
	if m.WithoutJob > 0 {
		fmt.Fprintf(w, "; %d have no job", m.WithoutJob)
	}
	if m.Made > 0 {
		fmt.Fprintf(w, "; %d made for jobs without one", m.Made)
	}
	fmt.Fprintln(w)
	r.printRemarks(w)
	if r.Worker {
		fmt.Fprintln(w, "\nA worker runs on the job database of this program. What it does from now on is not in this.")
	}
	if len(r.Settings) > 0 {
		fmt.Fprintf(w, "\nFor .env, to go on as before:\n%s\n", strings.Join(r.Settings, "\n"))
	}
	return nil
}

func (r *Report) printRemarks(w io.Writer) {
	shown := map[string]int{}
	var order []string
	for _, m := range r.Remarks {
		if shown[m.Code]++; shown[m.Code] == 1 {
			order = append(order, m.Code)
		}
	}
	for _, code := range order {
		fmt.Fprintln(w)
		n := 0
		for _, m := range r.Remarks {
			if m.Code != code {
				continue
			}
			if n++; n > remarksShown {
				fmt.Fprintf(w, "… and %d more of this kind; --json lists all\n", shown[code]-remarksShown)
				break
			}
			fmt.Fprintln(w, m)
		}
	}
}

// String is the remark for people.
func (m Remark) String() string {
	if m.Table == "" {
		return m.What
	}
	return fmt.Sprintf("%s %d: %s", strings.TrimSuffix(m.Table, "s"), m.ID, m.What)
}
