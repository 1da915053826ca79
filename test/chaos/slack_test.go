//go:build linux

package main

import (
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/test/slackfake"
)

// comment is a reply of the worker about one edition, with its metadata.
func comment(ts string, job int64, editions ...int) reply {
	return reply{TS: ts, StoreID: "store", JobID: job, Marked: true, Editions: editions}
}

func TestThreadsAreJudged(t *testing.T) {
	two := said{N: 1, Kind: plain, Channel: "C1", TS: "1.1", Links: []int{1, 2}}
	key := threadKey{"C1", "1.1"}
	good := []reply{comment("2.1", 1, 1), comment("2.2", 2, 2)}
	gone := func(r reply) reply { r.Deleted = true; return r }
	part := func(r reply, n int) reply { r.Part = n; return r }
	tests := []struct {
		name                 string
		message              said
		held                 map[threadKey][]reply
		lost, doubled, wrong int
	}{
		{"answered", two, map[threadKey][]reply{key: good}, 0, 0, 0},
		{"in two parts", two, map[threadKey][]reply{key: {good[0], part(comment("2.3", 1, 1), 1), good[1]}}, 0, 0, 0},
		{"nothing", two, nil, 2, 0, 0},
		{"one link is left out", two, map[threadKey][]reply{key: good[:1]}, 1, 0, 0},
		{"posted twice by one job", two, map[threadKey][]reply{key: {good[0], good[1], comment("2.3", 1, 1)}}, 0, 1, 0},
		{"posted by two jobs", two, map[threadKey][]reply{key: {good[0], good[1], comment("2.3", 3, 1)}}, 0, 1, 0},
		{"posted again in another thread", two, map[threadKey][]reply{key: good, {"C1", "9.9"}: {comment("2.3", 1, 1)}}, 0, 1, 1},
		{"not in a thread", two, map[threadKey][]reply{key: good[:1], {"C1", ""}: {good[1]}}, 1, 0, 1},
		{"in the wrong thread", two, map[threadKey][]reply{key: append(slices.Clone(good), comment("2.3", 7, 8))}, 0, 0, 1},
		{"without metadata", two, map[threadKey][]reply{key: {good[0], {TS: "2.2", Editions: []int{2}}}}, 0, 0, 1},
		{"text of another page", two, map[threadKey][]reply{key: {good[0], comment("2.2", 2, 3)}}, 1, 0, 1},
		{"an answer is deleted", two, map[threadKey][]reply{key: {good[0], gone(good[1])}}, 1, 0, 1},
		{"a bot is answered", said{Kind: robot, Channel: "C1", TS: "1.1", Links: []int{1}}, map[threadKey][]reply{key: good[:1]}, 0, 0, 1},
		{"deleted and retracted", said{Kind: deleted, Channel: "C1", TS: "1.1", Links: []int{1}}, map[threadKey][]reply{key: {gone(good[0])}}, 0, 0, 0},
		{"deleted and left", said{Kind: deleted, Channel: "C1", TS: "1.1", Links: []int{1}}, map[threadKey][]reply{key: good[:1]}, 0, 0, 1},
		{"deleted before the answer came", said{Kind: deleted, Channel: "C1", TS: "1.1", Links: []int{1}}, map[threadKey][]reply{{"C1", ""}: {gone(good[0])}}, 0, 0, 0},
		{"deleted before the answer came, which is left", said{Kind: deleted, Channel: "C1", TS: "1.1", Links: []int{1}}, map[threadKey][]reply{{"C1", ""}: good[:1]}, 0, 0, 1},
		{"more than three links", said{Kind: many, Channel: "C1", TS: "1.1", Links: []int{1, 2, 3, 4, 5}}, map[threadKey][]reply{key: append(slices.Clone(good), comment("2.3", 3, 3), comment("2.4", 4, 4))}, 0, 0, 1},
		{"the added link is lost", said{Kind: edited, Channel: "C1", TS: "1.1", Links: []int{1}, Added: []int{2}}, map[threadKey][]reply{key: good[:1]}, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := judgeThreads([]said{tt.message}, tt.held, nil)
			if len(f.Lost) != tt.lost || len(f.Doubled) != tt.doubled || len(f.Wrong) != tt.wrong {
				t.Errorf("lost %q, doubled %q, wrong %q; want %d, %d, %d", f.Lost, f.Doubled, f.Wrong, tt.lost, tt.doubled, tt.wrong)
			}
		})
	}
}

func TestReplyIsReadFromMetadataAndText(t *testing.T) {
	got := replyOf(slackfake.Message{
		TS: "1.1", Text: "A sentence in edition K7.", Blocks: json.RawMessage(`[{"text":"Another in edition K7. One in edition K8!"}]`),
		Metadata: &slackfake.Metadata{EventType: commentEvent, EventPayload: json.RawMessage(`{"store_id":"s","job_id":12,"part":1}`)},
	})
	want := reply{TS: "1.1", StoreID: "s", JobID: 12, Part: 1, Marked: true, Editions: []int{7, 8}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	for _, m := range []*slackfake.Metadata{nil, {EventType: "another", EventPayload: json.RawMessage(`{"store_id":"s","job_id":1}`)}, {EventType: commentEvent, EventPayload: json.RawMessage(`{}`)}} {
		if r := replyOf(slackfake.Message{Metadata: m}); r.Marked {
			t.Errorf("%+v counts as the worker's mark", m)
		}
	}
}

func TestEachSentenceNamesItsEdition(t *testing.T) {
	pages, err := articlesOf(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text := string(edition(page, 12))
		if n := strings.Count(text, "in edition K12"); n < 30 || strings.Contains(text, "K12 in edition") {
			t.Errorf("%d marks in\n%.400s", n, text)
		}
		if got := editionsIn(text); !slices.Equal(got, []int{12}) {
			t.Errorf("editions %v", got)
		}
	}
}

func TestSeedChoosesMessagesAndKills(t *testing.T) {
	of := func(seed uint64) ([]said, []slackStep) {
		return messagesOf(rand.New(rand.NewPCG(seed, 2)), 1000, []string{"C1", "C2"}), slackPlan(rand.New(rand.NewPCG(seed, 0)), 20, downsFor(1000))
	}
	messages, plan := of(1)
	again, planAgain := of(1)
	if !reflect.DeepEqual(messages, again) || !slices.Equal(plan, planAgain) {
		t.Error("the same seed chooses otherwise")
	}
	if other, _ := of(2); reflect.DeepEqual(messages, other) {
		t.Error("another seed chooses the same")
	}
	kinds, ons, editions := map[kind]int{}, map[event]int{}, map[int]bool{}
	for _, m := range messages {
		kinds[m.Kind]++
		for _, n := range append(slices.Clone(m.Links), m.Added...) {
			if editions[n] {
				t.Fatalf("edition %d is in two messages", n)
			}
			editions[n] = true
		}
	}
	for _, s := range plan {
		ons[s.On]++
	}
	if len(kinds) != len(shares) || len(ons) != len(slackEvents) || ons[eventPosted] < 4 {
		t.Errorf("kinds %v, kills %v", kinds, ons)
	}
	sum := 0
	for _, s := range shares {
		sum += s.share
	}
	if sum != 100 {
		t.Errorf("the shares are %d of a hundred", sum)
	}
}
