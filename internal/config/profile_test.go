package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfileStandsBehindDotenv(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		".env":            "COMMENTATOR_PROFILE=production\nMLFLOW_ENABLE_TRACKING=false\nMODEL_STAGE_A=\n",
		".env.production": "# what the file of the profile says\nMLFLOW_ENABLE_TRACKING=true\nMODEL_STAGE_A=from-profile\nMODEL_STAGE_B=from-profile\nMODEL_STAGE_C=x\nMAX_LINKS_PER_MESSAGE=0\n",
		".env.bak":        "MODEL_STAGE_A=no\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, warnings, err := Load(Options{Environ: []string{"MODEL_STAGE_B=from-env"}, Dir: dir})
	if want := filepath.Join(dir, ".env.production:6: MAX_LINKS_PER_MESSAGE: 0 would ignore every link; use 1 or more"); err == nil || err.Error() != want {
		t.Errorf("error %v; want %s", err, want)
	}
	if cfg.EnableTracking || cfg.ModelA != "from-profile" || cfg.ModelB != "from-env" || cfg.Profile != "production" {
		t.Errorf("got %+v", cfg)
	}
	for _, s := range cfg.Settings {
		if s.Name == "MODEL_STAGE_A" && s.Source != ".env.production" {
			t.Errorf("%s is from %s", s.Name, s.Source)
		}
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0].String(), filepath.Join(dir, ".env.production:5: MODEL_STAGE_C is not a setting")) {
		t.Errorf("warnings %v", warnings)
	}
	for profile, want := range map[string]string{
		"test":  "there is no file " + filepath.Join(dir, ".env.test") + "; make it, or use production",
		"../..": `"../.." is no name of a profile`,
	} {
		_, _, err := Load(Options{Environ: []string{"COMMENTATOR_PROFILE=" + profile}, Dir: dir})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// The profiles that come with the program say what the old guide's environments did.
func TestShippedProfiles(t *testing.T) {
	for profile, want := range map[string]struct {
		tracking, tracing bool
		experiment        string
	}{
		"development": {true, true, ""},
		"staging":     {true, true, "technoshare_staging"},
		"production":  {true, false, "technoshare_prod"},
	} {
		dir := t.TempDir()
		text, err := os.ReadFile(filepath.Join("..", "..", ".env."+profile))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, ".env."+profile), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		cfg, warnings, err := Load(Options{Environ: []string{"COMMENTATOR_PROFILE=" + profile}, Dir: dir})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v, %v", profile, warnings, err)
		}
		if cfg.EnableTracking != want.tracking || cfg.EnableTracing != want.tracing || cfg.Experiment != want.experiment {
			t.Errorf("%s: %+v", profile, cfg)
		}
	}
}
