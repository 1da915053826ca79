package backup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestTheNewestBackupsStay(t *testing.T) {
	d := newDeployment(t)
	cfg := d.config()
	cfg.Keep = 2
	var made []Created
	for range 2 {
		made = append(made, d.backup(cfg))
	}
	// None of these is ours to remove.
	d.write("backups/mine/file", "x")
	d.write("backups/backup-20200101T000000Z/file", "no manifest")
	for range 2 {
		made = append(made, d.backup(cfg))
	}
	for i, m := range made {
		var want []string
		if i >= 2 {
			want = []string{made[i-2].Dir}
		}
		if !slices.Equal(m.Removed, want) {
			t.Errorf("backup %d removed %q; want %q", i, m.Removed, want)
		}
	}
	var names []string
	entries, err := os.ReadDir(d.path("backups"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{".lock", "backup-20200101T000000Z", filepath.Base(made[2].Dir), filepath.Base(made[3].Dir), "mine"}
	if !slices.Equal(names, want) {
		t.Errorf("there are %q; want %q", names, want)
	}
	all, err := List(d.path("backups"))
	if err != nil || len(all) != 3 || all[0].Err == nil || all[1].Err != nil || all[2].Dir != made[3].Dir {
		t.Errorf("listed %+v, %v", all, err)
	}
}

func TestABackupThatDidNotEndIsNeverTakenForOne(t *testing.T) {
	d := newDeployment(t)
	cfg := d.config()
	cfg.Source.ArtifactRoot = "s3://bucket" // known after the databases are copied
	if _, err := Create(t.Context(), cfg); err == nil {
		t.Fatal("no error")
	}
	d.write("backups/.partial-backup-20260101T000000Z/files/db.sqlite", "killed")
	if all, err := List(d.path("backups")); err != nil || len(all) > 0 {
		t.Errorf("listed %+v, %v", all, err)
	}
	d.backup(d.config())
	if left, _ := filepath.Glob(d.path("backups/.partial*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestTwoBackupsAtOnceAreOneTooMany(t *testing.T) {
	d := newDeployment(t)
	if err := os.MkdirAll(d.path("backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(d.path("backups"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Create(t.Context(), d.config())
	wantError(t, err, "another backup")
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	d.backup(d.config())
}

func TestBackupsOfOneSecondStayInOrder(t *testing.T) {
	d := newDeployment(t)
	cfg := d.config()
	now := cfg.Now()
	cfg.Now = func() time.Time { return now }
	var want []string
	for range 3 {
		want = append(want, d.backup(cfg).Dir)
	}
	all, err := List(d.path("backups"))
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for i, l := range all {
		if l.Dir != want[i] || l.Err != nil {
			t.Errorf("%s is at place %d, %v; made were %q", l.Dir, i, l.Err, want)
		}
	}
}
