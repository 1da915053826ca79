package validate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/technoshare/commentator/internal/store"
)

// Deployment is what the job database of the deployment says of its jobs.
type Deployment struct {
	Known bool // false: there is no job database yet
	Name  string

	Recorded, Unrecorded Share // jobs that ended, with telemetry and without; cancelled ones are left out
	Week                 Share // recorded or not, of the last seven days
	Kills                int   // workers that died with a job in hand, in these days
	Disk                 *Disk // nil: not known, as with PostgreSQL
}

// Share is how many jobs ended in error.
type Share struct {
	Jobs, Errors int
}

// Rate is the share of errors, 0 without jobs.
func (s Share) Rate() float64 {
	if s.Jobs == 0 {
		return 0
	}
	return float64(s.Errors) / float64(s.Jobs)
}

func (s Share) String() string {
	return fmt.Sprintf("%d of %d (%.1f %%)", s.Errors, s.Jobs, 100*s.Rate())
}

// Above reports whether the share of errors is above another one, and that it is no chance: the
// other lies below its Wilson score interval of 95 %.
func (s Share) Above(before Share) bool {
	if s.Jobs == 0 || s.Errors == 0 {
		return false
	}
	const z = 1.96
	n, p := float64(s.Jobs), s.Rate()
	centre := p + z*z/(2*n)
	margin := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return (centre-margin)/(1+z*z/n) > before.Rate()
}

// Disk is the file system of the job database.
type Disk struct {
	Database    int64 // bytes of its files
	Free, Total int64 // bytes
}

// ReadDeployment reads the job database of the deployment; one that is not there is no error.
func ReadDeployment(ctx context.Context, database string, now time.Time) (d Deployment, err error) {
	db, err := store.OpenReadOnly(ctx, database)
	if errors.Is(err, store.ErrNoDatabase) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	d.Known, d.Name = true, db.Name()
	for _, q := range []struct {
		where string
		value any
		into  []any
	}{
		{`detail IN ('tracking', 'full') AND created_at > ?`, 0, []any{&d.Recorded.Jobs, &d.Recorded.Errors, new(int)}},
		{`detail NOT IN ('tracking', 'full') AND created_at > ?`, 0, []any{&d.Unrecorded.Jobs, &d.Unrecorded.Errors, new(int)}},
		{`finished_at > ?`, now.AddDate(0, 0, -7).UnixMicro(), []any{&d.Week.Jobs, &d.Week.Errors, &d.Kills}},
	} {
		err := db.QueryRowContext(ctx, `
			SELECT count(*), count(*) FILTER (WHERE outcome = 'error'), coalesce(sum(kills), 0) FROM jobs
			WHERE state = 'final' AND outcome <> 'cancelled' AND `+q.where, q.value).Scan(q.into...)
		if err != nil {
			return d, fmt.Errorf("count jobs: %w", err)
		}
	}
	if filepath.IsAbs(d.Name) { // a file
		d.Disk, err = readDisk(d.Name)
	}
	return d, err
}

func readDisk(path string) (*Disk, error) {
	d := &Disk{}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			d.Database += info.Size()
		}
	}
	var err error
	d.Free, d.Total, err = diskSpace(filepath.Dir(path))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	return d, err
}
