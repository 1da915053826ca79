package main

import (
	"testing"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/dbtest"
)

// Of a SQLite file there is one worker, whose id is the file's. On PostgreSQL each host has its
// own, which a restart keeps.
func TestWorkersOfADatabaseHaveIdsOfTheirOwn(t *testing.T) {
	s, err := store.Open(t.Context(), dbtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := instanceID(config.Config{}, s)
	if (id != "") != dbtest.Postgres() || id == s.StoreID() || id != instanceID(config.Config{}, s) {
		t.Errorf("instance id %q, database %s", id, s.StoreID())
	}
	named := config.Config{ResourceAttributes: map[string]string{wire.ResServiceInstanceID: "worker-7"}}
	if id := instanceID(named, s); id != "worker-7" {
		t.Errorf("instance id %q", id)
	}
}
