package apply

// count notes what is counted once the job does not come again.
func (j *job) count(event string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.counts == nil {
		j.counts = map[string]int64{}
	}
	j.counts[event]++
}

// tellCounts tells what was counted of the jobs that do not come again.
func (a *Applier) tellCounts(jobs []*job) {
	for _, j := range jobs {
		if j.stopped() {
			continue
		}
		for event, n := range j.counts {
			a.cfg.Count(event, n)
		}
	}
}
