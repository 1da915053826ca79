//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestSeedGivesItsPlan(t *testing.T) {
	one, same, other := planOf(seeded(1), 200, extentOf(200)), planOf(seeded(1), 200, extentOf(200)), planOf(seeded(2), 200, extentOf(200))
	if !slices.Equal(one, same) {
		t.Error("one seed gives two plans")
	}
	if slices.Equal(one, other) {
		t.Error("two seeds give one plan")
	}
}

// TestPlanKillsEachOften: at least a quarter of the kills on each program, the Collector
// while it recovers, and in full fifty together, five of them double, an outage and a full disk;
// at all kinds of moments, of the recovery too.
func TestPlanKillsEachOften(t *testing.T) {
	for _, c := range []struct{ jobs, kills, doubles int }{{25, 4, 1}, {60, 12, 3}, {200, 20, 5}, {1000, 50, 5}} {
		for seed := range uint64(20) {
			kills, all, doubles, fills, outages := map[victim]int{}, 0, 0, 0, 0
			met, queue := map[victim]map[event]bool{worker: {}, collector: {}, mlflow: {}}, map[int]bool{}
			plan := planOf(seeded(seed), c.jobs, extentOf(c.jobs))
			for i, s := range plan {
				switch {
				case s.After < 1 || !slices.Contains(events[s.Victim], s.On):
					t.Errorf("%d jobs, seed %d: step %+v has no event", c.jobs, seed, s)
				case s.Full > 0:
					fills++
					continue
				case s.twice():
					doubles++
					kills[s.Victim]++
					all++
				}
				met[s.Victim][s.On] = true
				if s.Queue > 0 {
					queue[s.Queue] = true
				}
				if s.Down > 0 {
					outages++
					if w := plan[i+1]; w.Victim != worker {
						t.Errorf("%d jobs, seed %d: %+v follows while MLflow is away", c.jobs, seed, w)
					}
				}
				kills[s.Victim]++
				all++
			}
			for _, v := range []victim{worker, collector, mlflow} {
				if 4*kills[v] < all {
					t.Errorf("%d jobs, seed %d: %d of %d kills on %s", c.jobs, seed, kills[v], all, v)
				}
			}
			if len(queue) == 0 || c.doubles >= 5 && len(queue) < 4 {
				t.Errorf("%d jobs, seed %d: second kills at writes %v to the queue", c.jobs, seed, queue)
			}
			for v, list := range events {
				if want := min(kills[v], len(list)) - 1; v != collector && len(met[v]) < want { // the outage moves one
					t.Errorf("%d jobs, seed %d: %s is killed at %v", c.jobs, seed, v, met[v])
				}
			}
			for _, v := range []victim{worker, mlflow} {
				if n := len(sharp[v]); kills[v] > n && slices.ContainsFunc(sharp[v], func(on event) bool { return !met[v][on] }) && outages == 0 {
					t.Errorf("%d jobs, seed %d: %s is killed at %v only", c.jobs, seed, v, met[v])
				}
			}
			if !met[collector][eventCreated] && kills[collector]/2 >= len(inHand) {
				t.Errorf("%d jobs, seed %d: no kill of the Collector between create and answer", c.jobs, seed)
			}
			if all < c.kills || doubles < c.doubles || fills == 0 || outages != 1 && c.jobs >= 100 {
				t.Errorf("%d jobs, seed %d: %d kills, %d double, %d fills, %d outages", c.jobs, seed, all, doubles, fills, outages)
			}
		}
	}
}

func TestInputsMakeTheJobs(t *testing.T) {
	for seed := range uint64(20) {
		jobs, silent := 0, 0
		links := map[string]bool{}
		for _, in := range inputsOf(seeded(seed), 200, (&site{}).link) {
			jobs += in.jobs()
			if len(in.Links) == 0 {
				silent++
			}
			for _, l := range in.Links {
				if links[l] {
					t.Fatalf("seed %d: link %s comes twice", seed, l)
				}
				links[l] = true
			}
		}
		if jobs != 200 || silent == 0 {
			t.Errorf("seed %d: %d jobs, %d messages without a link", seed, jobs, silent)
		}
	}
}
