package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// What is shipped for Prometheus and Grafana.
const (
	alertsFile    = "../../packaging/alerts.yml"
	alertsTests   = "../../packaging/alerts_test.yml"
	dashboardFile = "../../packaging/grafana.json"
)

// promtool runs Debian's promtool, or skips the test if it is missing, unless LB_CI says
// that all programs are there.
func promtool(t *testing.T, stdin []byte, args ...string) (out string, err error) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatal("promtool is not installed, and .ci/run should have done that")
		}
		t.Skip("promtool is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "promtool", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// TestPromtoolMetrics: Prometheus' own linter finds nothing in lb's metrics.
func TestPromtoolMetrics(t *testing.T) {
	o := everything()
	if out, err := promtool(t, scraped(t, handlerOf(t, o), "text/plain").Body.Bytes(), "check", "metrics"); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAlerts: the rules are valid, each raises its alert when it should and not otherwise,
// and says what to do.
func TestAlerts(t *testing.T) {
	if out, err := promtool(t, nil, "check", "rules", alertsFile); err != nil || !strings.Contains(out, " 8 rules found") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := promtool(t, nil, "test", "rules", alertsTests); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	rules, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(alertsTests)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range strings.Split(string(rules), "- alert: ")[1:] {
		name, _, _ := strings.Cut(rule, "\n")
		for _, key := range []string{"severity:", "summary:", "description:", "action:"} {
			if !strings.Contains(rule, key) {
				t.Errorf("%s has no %s", name, key)
			}
		}
		if !bytes.Contains(tests, []byte("alertname: "+name+"\n")) || !bytes.Contains(tests, []byte("alertname: "+name+", ")) {
			t.Errorf("%s is not tested to fire, or not to fire", name)
		}
	}
	checkNames(t, string(rules))
}

// checkNames checks that each metric of lb in text is in the catalogue.
func checkNames(t *testing.T, text string) {
	t.Helper()
	known := map[string]bool{}
	for _, m := range shownMetrics(t) {
		known[m.name] = true
		if m.kind == "histogram" {
			known[m.name+"_bucket"], known[m.name+"_sum"], known[m.name+"_count"] = true, true, true
		}
	}
	names := regexp.MustCompile(`\blb_[a-z0-9_]+`).FindAllString(text, -1)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !known[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// panel is what this test reads of a panel of Grafana.
type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct{ Expr, LegendFormat string }
}

// TestDashboard: the dashboard is valid, shows metrics that there are by expressions that
// Prometheus understands, and no panel covers another.
func TestDashboard(t *testing.T) {
	source, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID  string
		Templating  struct{ List []struct{ Name string } }
		Annotations struct{ List []struct{ Expr string } }
		Panels      []panel
	}
	if err := json.Unmarshal(source, &board); err != nil {
		t.Fatal(err)
	}
	var variables []string
	for _, v := range board.Templating.List {
		variables = append(variables, v.Name)
	}
	if want := []string{"datasource", "job", "instance", "pool"}; !slices.Equal(variables, want) {
		t.Errorf("variables %q, want %q", variables, want)
	}
	var exprs []string
	for _, a := range board.Annotations.List {
		exprs = append(exprs, a.Expr)
	}
	cells, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d %q: its number is not its own, or it has no title, description or target", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, taken := cells[at]; taken || at[0] >= 24 {
					t.Fatalf("%q is outside, or covers %q", p.Title, other)
				}
				cells[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	checkExpressions(t, exprs)
}

// checkExpressions checks expressions of Grafana: as rules, because this promtool parses
// nothing else.
func checkExpressions(t *testing.T, exprs []string) {
	t.Helper()
	var rules strings.Builder
	rules.WriteString("groups: [{name: dashboard, rules: [\n")
	checkNames(t, strings.Join(exprs, "\n"))
	for i, expr := range exprs {
		for _, name := range []string{"job", "instance", "pool"} {
			if strings.Contains(expr, name+`="$`) {
				t.Errorf("%s: a choice of several needs =~", expr)
			}
		}
		expr = strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$pool", ".*").Replace(expr)
		if strings.Contains(expr, "$") {
			t.Errorf("%s: an unknown variable", expr)
		}
		fmt.Fprintf(&rules, "{record: 'expression:%d', expr: '%s'},\n", i, strings.ReplaceAll(expr, "'", "''"))
	}
	rules.WriteString("]}]\n")
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, nil, "check", "rules", file); err != nil || len(exprs) < 30 {
		t.Errorf("%d expressions: %v\n%s", len(exprs), err, out)
	}
}
