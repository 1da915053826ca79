package migrate

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/store"
)

// Codes in jobs.error_type of jobs that a migration ends.
const (
	errorOld       = "old_deployment" // the old program had ended it with an error
	errorNoMessage = "no_message"     // its message is not in the old database
	errorDuplicate = "duplicate_job"  // another open job of its message goes on
	errorStatus    = "unknown_status" // its status is none of the four
)

const (
	// maxID is the highest id that is taken over: enough are left above it.
	maxID = 1 << 53
	// maxAttempts is what is believed of the number of attempts.
	maxAttempts = 1_000_000
)

// note is what a migration leaves in the database for the next one.
type note struct {
	From string    `json:"from"`
	At   time.Time `json:"at"`
	// Made are ids of messages that the old database does not hold under them: its program may
	// give them to messages of its own.
	Made []int64 `json:"made,omitempty"`
}

// planner decides what becomes of each row. It does no input or output.
type planner struct {
	cfg    Config
	old    Tables
	now    time.Time // whole microseconds, UTC
	report *Report
	in     store.Import

	heldMessages map[int64]place
	heldPlaces   map[place]commentator.Message
	heldJobs     map[int64]store.HeldJob

	found     map[place]commentator.Message // of the old database, by what is in its columns
	places    map[place]int64               // of those messages, by what is written here
	made      map[place]commentator.Message // for jobs without a message
	nextMade  int64
	madeIDs   []int64         // as in the note
	newest    map[int64]int64 // message → its newest job so far
	open      map[int64]int64 // message → its job that goes on
	conflicts []string
}

// plan decides what is to be written beside what is held.
func plan(cfg Config, held store.Contents) (store.Import, Report, error) {
	old := cfg.Old
	p := &planner{
		cfg: cfg, old: old, now: cfg.Now.UTC().Truncate(time.Microsecond), report: &Report{Remarks: []Remark{}, Settings: []string{}},
		heldMessages: map[int64]place{}, heldPlaces: map[place]commentator.Message{}, heldJobs: map[int64]store.HeldJob{},
		found: map[place]commentator.Message{}, places: map[place]int64{}, made: map[place]commentator.Message{},
		newest: map[int64]int64{}, open: map[int64]int64{},
	}
	p.in.Seen = map[string]string{}
	if held.Note == nil && len(held.Messages)+len(held.Jobs) > 0 {
		return p.in, *p.report, mustBe(CodeNotEmpty, "it holds %s and %s that no migration brought; set DB_PATH to a new file",
			counted.Of(len(held.Messages), "message"), counted.Of(len(held.Jobs), "job"))
	}
	if held.Note != nil {
		var last note
		if err := json.Unmarshal(held.Note, &last); err != nil {
			return p.in, *p.report, fmt.Errorf("read what the last migration noted: %w", err)
		}
		p.madeIDs = last.Made
	}
	p.nextMade = old.LastMessageID
	for _, m := range held.Messages {
		p.heldMessages[m.ID] = place{m.Channel, m.TS}
		p.heldPlaces[place{m.Channel, m.TS}] = m
		p.nextMade = max(p.nextMade, m.ID)
	}
	for _, j := range held.Jobs {
		p.heldJobs[j.ID] = j
	}
	for _, s := range []string{statusPending, statusProcessing, statusDone, statusFailed} {
		p.report.status(s)
	}
	p.remarkWhole()
	for _, m := range old.Messages {
		p.message(m)
	}
	for _, j := range old.Jobs {
		p.job(j)
	}
	p.countWithoutJob()
	p.in.LastMessageID, p.in.LastJobID = min(old.LastMessageID, maxID), min(old.LastJobID, maxID)
	p.in.Note = note{From: absolute(cfg.From), At: p.now, Made: p.madeIDs}
	return p.in, *p.report, p.differs()
}

// differs is the error when other rows are here under ids of old ones.
func (p *planner) differs() error {
	if len(p.conflicts) == 0 {
		return nil
	}
	const shown = 5
	list := strings.Join(p.conflicts[:min(shown, len(p.conflicts))], "; ")
	if more := len(p.conflicts) - shown; more > 0 {
		list += fmt.Sprintf("; and %d more", more)
	}
	return mustBe(CodeDiffers, "both programs have taken messages since the last migration, or it was from another file: %s; "+
		"set DB_PATH to a new file", list)
}

// remarkWhole says what of the whole database is not taken over.
func (p *planner) remarkWhole() {
	for _, name := range p.old.Unknown {
		p.report.remark("", 0, remarkUnknown, "%s is not known of the old deployment and not taken over", name)
	}
	statuses := map[string]int{}
	for _, m := range p.old.Messages {
		statuses[m.Status.String]++
	}
	delete(statuses, statusReceived)
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		p.report.remark("", 0, remarkUnknown, "messages.status is not taken over: it is %q in %s", clean(status), counted.Of(statuses[status], "message"))
	}
}

func (p *planner) message(old OldMessage) {
	p.report.Messages.Read++
	if old.ID < 1 || old.ID > maxID {
		p.leaveOut("messages", old.ID, "its id is not from 1 to 2^53")
		return
	}
	m := commentator.Message{
		ID:      old.ID,
		Channel: p.text("messages", old.ID, "channel_id", old.Channel), TS: p.text("messages", old.ID, "message_ts", old.TS),
		ThreadTS: p.text("messages", old.ID, "thread_ts", old.Thread), User: p.text("messages", old.ID, "user_id", old.User),
		Text: p.text("messages", old.ID, "text", old.Text),
	}
	at := place{m.Channel, m.TS}
	if other, ok := p.places[at]; ok {
		p.leaveOut("messages", old.ID, fmt.Sprintf("without the characters that were replaced it is message %d", other))
		return
	}
	m.ReceivedAt = p.received(old, m.TS)
	held, ok := p.heldMessages[m.ID]
	elsewhere, known := p.heldPlaces[at]
	if ok && held != at && slices.Contains(p.madeIDs, m.ID) { // its id was given away here
		if ok = known; known {
			held, m.ID = at, elsewhere.ID
		} else {
			m.ID = p.newID()
			p.report.remark("messages", old.ID, remarkID, "a message that was made here has its id; it is message %d here", m.ID)
		}
	}
	p.places[at], p.found[old.place()] = m.ID, m
	if slackTS.MatchString(m.TS) && m.TS > p.in.Seen[m.Channel] {
		p.in.Seen[m.Channel] = m.TS
	}
	switch {
	case ok && held == at:
		p.report.Messages.There++
	case ok:
		p.conflicts = append(p.conflicts, fmt.Sprintf("message %d is another one here", m.ID))
	case known:
		p.conflicts = append(p.conflicts, fmt.Sprintf("message %d is here as %d", m.ID, elsewhere.ID))
	default:
		p.report.Messages.Added++
		p.in.Messages = append(p.in.Messages, m)
	}
}

// newID gives an id that the old database has not given.
func (p *planner) newID() int64 {
	p.nextMade++
	p.madeIDs = append(p.madeIDs, p.nextMade)
	return p.nextMade
}

// received is created_at, else Slack's own time.
func (p *planner) received(old OldMessage, ts string) time.Time {
	if t, ok := parseTime(old.CreatedAt.String); ok {
		return t
	}
	t, err := commentator.ParseTS(ts)
	instead := "Slack's time of the message stands for it"
	if err != nil {
		t, instead = p.now, "the time of the migration stands for it"
	}
	p.remarkTime("messages", old.ID, "created_at", old.CreatedAt, instead)
	return t
}

func (p *planner) remarkTime(table string, id int64, column string, value sql.NullString, instead string) {
	p.report.remark(table, id, remarkTime, "%s %s is no time; %s", column, shown(value), instead)
}

func shown(v sql.NullString) string {
	if !v.Valid {
		return "NULL"
	}
	return strconv.Quote(clean(v.String))
}

func (p *planner) text(table string, id int64, column string, value sql.NullString) string {
	s := clean(value.String)
	if s != value.String {
		p.report.remark(table, id, remarkText, "%s held NUL characters or bytes that are no UTF-8; U+FFFD stands for them", column)
	}
	return s
}

func (p *planner) leaveOut(table string, id int64, why string) {
	if table == "messages" {
		p.report.Messages.LeftOut++
	}
	p.report.remark(table, id, remarkLeftOut, "left out, since %s", why)
}

func (p *planner) countWithoutJob() {
	with := map[place]bool{}
	for _, j := range p.old.Jobs {
		with[j.place()] = true
	}
	for _, m := range p.old.Messages {
		if !with[m.place()] {
			p.report.Messages.WithoutJob++
		}
	}
}
