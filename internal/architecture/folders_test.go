package architecture

import (
	"os"
	"strings"
	"testing"
)

// Each folder directly below internal and test stands in the table of docs/ARCHITECTURE.md.
func TestArchitectureSaysWhereThingsAre(t *testing.T) {
	page, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Where things are\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, dir := range []string{"internal", "test"} {
		folders, err := os.ReadDir("../../" + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			if name := dir + "/" + f.Name(); f.IsDir() && !strings.Contains(table, "`"+name+"`") {
				t.Errorf("it does not say what %s is", name)
			}
		}
	}
}
