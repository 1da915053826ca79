package scripts

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// newPostgres has no PostgreSQL of the machine, and stubs of Debian's programs.
func newPostgres(t *testing.T, apt string) checkout {
	t.Helper()
	c := newCheckout(t)
	c.program("stubs/apt-get", "#!/bin/sh\n"+apt)
	c.program("stubs/dpkg", "#!/bin/sh\nmkdir -p \"$3/usr/lib/postgresql/16/bin\" && echo >\"$3/usr/lib/postgresql/16/bin/postgres\"\n")
	c.env = append(c.env, "POSTGRES_PROGRAMS="+c.path("none"), "PATH="+c.path("stubs")+string(os.PathListSeparator)+os.Getenv("PATH"))
	return c
}

func TestPostgresSaysWhenThereIsNoPackage(t *testing.T) {
	t.Parallel()
	newPostgres(t, "exit 100\n").says(false, "apt-get knows no package postgresql", "postgres.sh", "--install-only")
}

func TestPostgresIsUnpackedIntoTheCache(t *testing.T) {
	t.Parallel()
	c := newPostgres(t, `case $1 in
install) echo "Inst postgresql-16 (16.1 Debian)" ;;
download) echo >postgresql-16.deb ;;
esac
`)
	c.says(true, "Unpacking PostgreSQL into "+c.path("cache/postgresql"), "postgres.sh", "--install-only")
	if _, err := os.Stat(c.path("cache/postgresql/usr/lib/postgresql/16/bin/postgres")); err != nil {
		t.Error(err)
	}
	if _, stderr, err := c.run("postgres.sh", "--install-only"); err != nil || stderr != "" {
		t.Errorf("a second time: %v\n%s", err, stderr)
	}
}

// Of two that start at once one unpacks and the other waits for it.
func TestPostgresIsUnpackedOnce(t *testing.T) {
	t.Parallel()
	c := newPostgres(t, `case $1 in
install) echo "Inst postgresql-16 (16.1 Debian)" ;;
download) echo x >>../../downloads; sleep 0.3; echo >postgresql-16.deb ;;
esac
`)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, stderr, err := c.run("postgres.sh", "--install-only"); err != nil {
				t.Errorf("%v\n%s", err, stderr)
			}
		})
	}
	both.Wait()
	if downloads, err := os.ReadFile(c.path("cache/downloads")); err != nil || string(downloads) != "x\n" {
		t.Errorf("downloads: %q, %v", downloads, err)
	}
}

// A server that was started for a database which cannot be made does not stay.
func TestPostgresEndsWhatItStartedInVain(t *testing.T) {
	t.Parallel()
	c := newPostgres(t, "exit 100\n")
	// Started by root, the programs run as nobody, who has to reach them.
	for dir := c.dir; dir != filepath.Clean(os.TempDir()) && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const bin = "none/lib/postgresql/16/bin/"
	c.program(bin+"postgres", "")
	c.program(bin+"initdb", "#!/bin/sh\nmkdir data\n")
	c.program(bin+"pg_ctl", `#!/bin/sh
echo "$1" >>"$POSTGRES_DIR/asked"
case $1 in start) printf '1\n\n\n5432\n' >data/postmaster.pid ;; esac
`)
	c.program(bin+"psql", "#!/bin/sh\ncase \"$*\" in *DROP*) echo 'no room' >&2; exit 1 ;; esac\n")
	c.env = append(c.env, "POSTGRES_DIR="+c.path("postgres"))
	c.says(false, "no room\npostgres: the database runs could not be made", "postgres.sh", "--database", "runs")
	asked, err := os.ReadFile(c.path("postgres/asked"))
	if err != nil || strings.Join(strings.Fields(string(asked)), " ") != "start stop" {
		t.Errorf("the server was asked to %q; %v", asked, err)
	}
}
