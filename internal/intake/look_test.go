package intake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// looked is what an onlooker says of messages that come now, a line for each link.
func (r *rig) looked(t *testing.T, o *Onlooker, messages ...slack.Posted) string {
	t.Helper()
	var lines []string
	for _, p := range messages {
		p.Channel, p.User, p.ReceivedAt = "C1", "U1", r.clock()
		outcome, links, err := o.Look(context.Background(), p)
		if err != nil || outcome != Accepted {
			t.Fatalf("%+v: %s, %v", p, outcome, err)
		}
		for _, link := range links {
			lines = append(lines, strings.TrimSpace(fmt.Sprintln(p.TS, link.URL, link.Outcome, link.Job, link.TS)))
		}
	}
	return strings.Join(lines, "\n")
}

func posted(ts, text string) slack.Posted {
	return slack.Posted{Message: commentator.Message{TS: ts, Text: text}}
}

// onDatabase is an onlooker on the rig's database.
func (r *rig) onDatabase(t *testing.T) *Onlooker {
	t.Helper()
	db, err := store.OpenReadOnly(t.Context(), r.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return r.Onlooker(db)
}

// Of messages that are known it shows what became of them, of others what would by what is known.
func TestAnOnlookerKnowsWhatBecameOfLinks(t *testing.T) {
	r := newRig(t)
	r.deliver(t, message("1000.1", "https://a.example https://b.example https://c.example https://d.example"))
	r.advance(time.Hour)
	r.deliver(t, message("1001.1", "https://a.example?utm_source=x https://e.example"))
	first := map[string]int64{}
	for _, j := range r.jobs(t) {
		first[j.Domain] = j.ID
	}
	edited := posted("1000.1", "https://a.example https://f.example")
	edited.EditedTS = "1009.1"
	for _, tt := range []struct {
		name     string
		messages []slack.Posted
		want     []string
	}{
		{"known", []slack.Posted{posted("1000.1", "https://a.example https://b.example https://c.example https://d.example")}, []string{
			fmt.Sprint("1000.1 https://a.example job ", first["a.example"]), fmt.Sprint("1000.1 https://b.example job ", first["b.example"]),
			fmt.Sprint("1000.1 https://c.example job ", first["c.example"]), "1000.1 https://d.example over_limit 0",
		}},
		{"known, and its page was in the channel", []slack.Posted{posted("1001.1", "https://a.example?utm_source=x https://e.example")}, []string{
			fmt.Sprint("1001.1 https://a.example?utm_source=x cooldown ", first["a.example"]), fmt.Sprint("1001.1 https://e.example job ", first["e.example"]),
		}},
		{"known, and left without", []slack.Posted{posted("1001.1", "https://g.example")}, []string{"1001.1 https://g.example no_job 0"}},
		{"known, and edited since", []slack.Posted{edited}, []string{
			fmt.Sprint("1000.1 https://a.example job ", first["a.example"]), "1000.1 https://f.example job 0",
		}},
		{"new", []slack.Posted{posted("1002.1", "https://b.example https://h.example https://i.example https://j.example"), posted("1003.1", "https://h.example")}, []string{
			fmt.Sprint("1002.1 https://b.example cooldown ", first["b.example"]), "1002.1 https://h.example job 0", "1002.1 https://i.example job 0",
			"1002.1 https://j.example over_limit 0", "1003.1 https://h.example cooldown 0 1002.1",
		}},
	} {
		if got := r.looked(t, r.onDatabase(t), tt.messages...); got != strings.Join(tt.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, strings.Join(tt.want, "\n"))
		}
	}
	if jobs := r.jobs(t); len(jobs) != 4 || len(r.enqueued) != 4 {
		t.Errorf("looking made jobs: %+v", jobs)
	}
}

// What an onlooker foresees of new messages is what intake then makes of them.
func TestAnOnlookerForeseesWhatIntakeDoes(t *testing.T) {
	r := newRig(t)
	r.deliver(t, message("1000.1", "https://a.example"))
	r.advance(25 * time.Hour)
	r.deliver(t, message("1001.1", "https://b.example"))
	messages := []slack.Posted{
		posted("1002.1", "https://a.example https://b.example https://c.example https://d.example"),
		posted("1003.1", "https://c.example https://e.example"),
		posted("1004.1", "https://d.example"), // which was over the limit
	}
	o := r.onDatabase(t)
	var foreseen []string
	for _, p := range messages {
		for line := range strings.SplitSeq(r.looked(t, o, p), "\n") {
			if fields := strings.Fields(line); fields[2] == LinkJob {
				foreseen = append(foreseen, fields[1])
			}
		}
	}
	before := len(r.jobs(t))
	for _, p := range messages {
		r.deliver(t, message(p.TS, p.Text))
	}
	if made := r.links(t)[before:]; !slices.Equal(foreseen, made) || len(made) == 0 {
		t.Errorf("foreseen %q, made %q", foreseen, made)
	}
}

// Without a database there is only what stands above in the channel, each at its time.
func TestAnOnlookerWithoutADatabase(t *testing.T) {
	r := newRig(t)
	day := func(n int) string { return fmt.Sprintf("%d.000100", 1700000000+n*24*3600) }
	got := r.looked(t, r.Onlooker(nil), posted(day(0), "https://a.example"), posted(day(0)[:9]+"9.000100", "https://a.example"), posted(day(2), "https://a.example"))
	want := day(0) + " https://a.example job 0\n" + day(0)[:9] + "9.000100 https://a.example cooldown 0 " + day(0) + "\n" + day(2) + " https://a.example job 0"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
