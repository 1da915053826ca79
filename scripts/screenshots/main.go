// Command screenshots takes the pictures of the MLflow UI in README and docs/EVALUATION.md, of what
// `make demo` left there, with headless Chromium. The second one is taken when an evaluation was
// recorded by the demo's Collector.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/technoshare/commentator/internal/mlflow"
)

// shot is one picture.
type shot struct {
	name    string
	address string
	has     string // text that shows that the page has loaded what matters
	height  int64  // of the window, in pixels
}

// summary is the part of .demo/summary.json that matters here.
type summary struct {
	UI   string `json:"ui"`
	ID   string `json:"experiment_id"`
	Jobs []struct {
		Name     string `json:"name"`
		Outcome  string `json:"outcome"`
		RunURL   string `json:"run_url"`
		TraceURL string `json:"trace_url"`
		Job      string `json:"job"`
	} `json:"jobs"`
}

func main() {
	from := flag.String("summary", ".demo/summary.json", "what the demo wrote")
	to := flag.String("to", "docs/images", "folder of the pictures")
	job := flag.String("name", "", "demo document to show; default the first with outcome success")
	flag.Parse()
	if err := run(*from, *to, *job); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(from, to, name string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("%w: run `make demo` first and leave it running", err)
	}
	var s summary
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	var shots []shot
	for _, j := range s.Jobs {
		if j.Outcome != "success" || (name != "" && j.Name != name) {
			continue
		}
		shots = []shot{
			{"run", j.RunURL, "Child runs", 1500},
			{"trace", j.TraceURL, "quality_gates", 900},
		}
		break
	}
	if len(shots) == 0 {
		return fmt.Errorf("%s names no job with outcome success", from)
	}
	evaluation, err := newestEvaluation(context.Background(), s.UI)
	if err != nil {
		return err
	}
	shots = append(shots, evaluation...)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	profile, err := os.MkdirTemp("", "screenshots")
	if err != nil {
		return fmt.Errorf("make profile: %w", err)
	}
	defer os.RemoveAll(profile)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	ctx, cancel := chromedp.NewContext(allocated)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		return fmt.Errorf("start chromium (Debian's package chromium has it): %w", err)
	}
	for _, shot := range shots {
		if err := take(ctx, shot, filepath.Join(to, shot.name+".png")); err != nil {
			return fmt.Errorf("%s: %w", shot.name, err)
		}
		fmt.Println(filepath.Join(to, shot.name+".png"))
	}
	return nil
}

// newestEvaluation is the page of the traces of the newest evaluation, none when there is no evaluation.
func newestEvaluation(ctx context.Context, ui string) ([]shot, error) {
	server, _, _ := strings.Cut(ui, "/#")
	client, err := mlflow.New(mlflow.Config{Endpoint: server})
	if err != nil {
		return nil, err
	}
	experiments, err := client.SearchExperiments(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range experiments {
		if e.Name != "technoshare_eval" {
			continue
		}
		runs, _, err := client.SearchRuns(ctx, mlflow.SearchRuns{ExperimentIDs: []string{e.ID}, MaxResults: 1, OrderBy: []string{"attributes.start_time DESC"}})
		if err != nil || len(runs) == 0 {
			return nil, err
		}
		return []shot{{"evaluation", server + "/#/experiments/" + e.ID + "/runs/" + runs[0].Info.ID + "/traces", "Assessments", 1000}}, nil
	}
	return nil, nil
}

// dismiss closes what a first visit shows over the page, tips and the assistant's panel,
// and unfolds the description of a run.
const dismiss = `(() => {
  document.querySelector('[data-component-id="mlflow.assistant.chat_panel.close"]')?.click();
  for (const b of document.querySelectorAll('button'))
    if (/^(Got it|Dismiss|Show more)$/.test(b.textContent.trim())) b.click();
  return true;
})()`

func take(ctx context.Context, s shot, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1500, s.height), chromedp.Navigate("about:blank"), chromedp.Navigate(s.address)); err != nil {
		return fmt.Errorf("open %s: %w", s.address, err)
	}
	has, err := json.Marshal(s.has)
	if err != nil {
		return fmt.Errorf("quote text: %w", err)
	}
	for seen := 0; seen < 3; {
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](dismiss)); err != nil {
			return fmt.Errorf("close dialogs: %w", err)
		}
		found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.body.innerText.includes(`+string(has)+`)`))
		if err != nil {
			return fmt.Errorf("wait for %q: %w", s.has, err)
		}
		if found {
			seen++
		}
		if err := chromedp.Do(ctx, chromedp.Sleep(time.Second)); err != nil {
			picture, _ := chromedp.Run(context.WithoutCancel(ctx), chromedp.CaptureScreenshot())
			_ = os.WriteFile(file, picture, 0o644)
			return fmt.Errorf("the page never showed %q: %w", s.has, err)
		}
	}
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return os.WriteFile(file, picture, 0o644)
}
