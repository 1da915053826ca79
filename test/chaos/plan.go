//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// victim is a program that can be killed.
type victim string

const (
	worker    victim = "worker"
	collector victim = "collector"
	mlflow    victim = "mlflow"
)

// step is a thing that is done to the programs when its event has come often enough.
type step struct {
	Victim victim `json:"victim"`
	On     event  `json:"on"`
	After  int    `json:"after"` // events of this kind since the step before
	// Second, above 0, kills the Collector once more while it recovers: at so many hundredths of
	// the writes to its disk that its last start took.
	Second int `json:"second,omitempty"`
	// Queue, above 0, does so at that write to its queue.
	Queue int `json:"queue,omitempty"`
	// Down is how long the program stays away; 0: it is started at once.
	Down time.Duration `json:"down,omitempty"`
	// Full lets the disk of the program be full for that time instead of killing it.
	Full time.Duration `json:"full,omitempty"`
}

// extent is how much is done to how many jobs.
type extent struct {
	kills   int // of each program, at least
	doubles int // second kills of the Collector, beside as many first ones
	outage  time.Duration
	full    []victim // whose disk fills
	filled  time.Duration
	workers string // processes of MLflow
}

// extentOf: from 100 jobs on everything is done, below that a little of everything.
func extentOf(jobs int) extent {
	if jobs < 100 {
		kills := max(2, jobs/12)
		return extent{kills: kills, doubles: (kills + 1) / 2, full: []victim{collector}, filled: 2 * time.Second, workers: "1"}
	}
	return extent{
		kills: max(8, jobs/48), doubles: 6, outage: 2 * time.Minute,
		full: []victim{collector, mlflow}, filled: 10 * time.Second, workers: "2",
	}
}

// perJob is about how often each event comes for a job.
var perJob = map[event]int{
	eventPage: 1, eventCall: 3, eventStage: 5, eventJournal: 40, eventMessage: 7, eventExport: 3, eventTaken: 3, eventSent: 7,
	eventWrite: 40, eventRequest: 26, eventAnswer: 26, eventCreated: 5,
}

// events are those at which a program is killed: when it has to do with them.
var events = map[victim][]event{
	worker:    {eventPage, eventCall, eventStage, eventJournal, eventMessage, eventExport, eventTaken, eventSent},
	collector: {eventExport, eventTaken, eventSent, eventWrite, eventRequest, eventAnswer, eventCreated},
	mlflow:    {eventRequest, eventAnswer, eventCreated},
}

// sharp are those of them at which something is half done that the promise hangs on: they
// come first, so that a few kills meet them too.
var sharp = map[victim][]event{
	worker:    {eventExport, eventTaken, eventJournal},
	collector: {eventCreated, eventTaken},
	mlflow:    {eventCreated},
}

// inHand are the events at which the Collector has something in hand, so that its queue has
// something to recover afterwards.
var inHand = []event{eventCreated, eventRequest, eventAnswer}

// maxSecond is the whole start of a Collector.
const maxSecond = 100

// A Collector's start writes to its queue a few times while it opens the file and compacts it,
// then to take back what was in hand: that is among these writes. One in minQueue to maxQueue
// is met by a second kill.
const (
	minQueue = 4
	maxQueue = 8
)

// deck deals the things of a list in random order, each once before one comes again, so that
// no kind of moment is left out by chance.
type deck[T comparable] struct {
	random *rand.Rand
	list   []T
	first  []T // of the list
	left   []T
}

func (d *deck[T]) deal() T {
	if len(d.left) == 0 {
		rest := slices.DeleteFunc(slices.Clone(d.list), func(one T) bool { return slices.Contains(d.first, one) })
		for _, part := range [][]T{slices.Clone(d.first), rest} {
			d.random.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
			d.left = append(d.left, part...)
		}
	}
	one := d.left[0]
	d.left = d.left[1:]
	return one
}

// planOf makes the steps of a seed. The jobs last for all of them.
func planOf(random *rand.Rand, jobs int, e extent) []step {
	var plan []step
	moments := map[victim]*deck[event]{}
	for _, v := range []victim{worker, collector, mlflow} {
		moments[v] = &deck[event]{random: random, list: events[v], first: sharp[v]}
	}
	for _, v := range []victim{worker, mlflow} {
		for range e.kills {
			plan = append(plan, step{Victim: v, On: moments[v].deal()})
		}
	}
	firsts := deck[event]{random: random, list: inHand}
	var writes deck[int]
	writes.random = random
	for n := minQueue; n <= maxQueue; n++ {
		writes.list = append(writes.list, n)
	}
	for i := range e.doubles {
		s := step{Victim: collector, On: firsts.deal()}
		if i >= 4 {
			s.Second = 1 + random.IntN(maxSecond)
		} else {
			s.Queue = writes.deal()
		}
		plan = append(plan, s)
	}
	for range max(min(2, e.kills-2), e.kills-2*e.doubles) { // at least two, when there are many
		plan = append(plan, step{Victim: collector, On: moments[collector].deal()})
	}
	for _, v := range e.full {
		plan = append(plan, step{Victim: v, On: moments[v].deal(), Full: e.filled})
	}
	random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	between := max(1, jobs/len(plan)) // jobs from one step to the next
	for i := range plan {
		plan[i].aim(random, between)
	}
	if e.outage > 0 {
		plan = withOutage(plan, e.outage)
	}
	return plan
}

// withOutage makes the first kill of MLflow a long one. Meanwhile the worker is killed and the
// Collector, which then has everything in its queue.
func withOutage(plan []step, length time.Duration) []step {
	is := func(v victim) func(step) bool {
		return func(s step) bool { return s.Victim == v && s.Full == 0 }
	}
	first := slices.IndexFunc(plan, is(mlflow))
	plan[first].Down = length
	for i, v := range []victim{worker, collector} {
		at := first + 1 + i
		from := slices.IndexFunc(plan[min(at, len(plan)):], is(v))
		if from < 0 {
			continue // none is left
		}
		s := plan[at+from]
		if slices.Contains(inHand, s.On) { // there are none
			s.On, s.After = eventSent, min(s.After, 2*perJob[eventSent])
		}
		plan = slices.Insert(slices.Delete(plan, at+from, at+from+1), at, s)
	}
	return plan
}

// aim chooses at how many of its events a step is done. They come within half the jobs that
// there are for the step; the other half passes while programs start again.
func (s *step) aim(random *rand.Rand, jobs int) {
	s.After = 1 + random.IntN(max(1, perJob[s.On]*jobs/2))
}

// twice reports whether the program is killed once more while it recovers.
func (s *step) twice() bool { return s.Second > 0 || s.Queue > 0 }
