package cli

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"lb/admin"
	"lb/admin/api"
	"lb/cli/words"
)

// explainCmd is `lb explain`.
type explainCmd struct {
	target
	paper
	JSON   bool     `help:"Print everything as JSON."`
	Header []string `short:"H" sep:"none" placeholder:"FIELD" help:"A field of the request, such as \"Accept: */*\". May be given several times."`
	From   string   `placeholder:"IP" help:"Address that the client's connection comes from. Default: 127.0.0.1."`
	Method string   `arg:"" help:"GET or another."`
	URL    string   `arg:"" name:"url" help:"http:// or https://, or a path alone for the first listener."`
}

// Run prints what a loop would do with the request.
func (e *explainCmd) Run(std *streams) error {
	return e.ask(std, func(c *admin.Client) error {
		got, err := c.Explain(api.ExplainAsk{Method: e.Method, URL: e.URL, Headers: e.Header, From: e.From})
		if err != nil {
			return err
		}
		if e.JSON {
			return printJSON(std.out, got)
		}
		printExplained(e.page(std.out), got)
		return nil
	})
}

// explainWide is the width of the words that begin lines of `lb explain`.
const explainWide = 10

// about writes a line that begins with word, or with blanks if that is "".
func about(p page, word, text string) { p.line(fmt.Sprintf("%-*s", explainWide, word), text) }

// printExplained writes what lb would do, the choice first.
func printExplained(p page, e api.Explained) {
	text, c := outcomeOf(e)
	p.lineIn(fmt.Sprintf("%-*s", explainWide, "choice"), text, c)
	about(p, "", e.How)
	fmt.Fprintln(p.w)
	asked := strings.TrimRight(e.Method+" "+e.Target, " ")
	if e.Host != "" {
		asked += " for " + e.Host
	}
	about(p, "request", asked)
	client := fmt.Sprintf("%s by %s", cmp.Or(e.Client.Address, "-"), e.Client.Scheme)
	if e.Client.Address != e.Client.Peer {
		client += fmt.Sprintf(", as %s says, which is trusted", e.Client.Peer)
	}
	about(p, "client", client)
	about(p, "listener", fmt.Sprintf("%s (%s)", e.Listener.Address, e.Listener.Role))
	printRoutes(p, e)
	for _, l := range e.RateLimits {
		about(p, "limit", l.Name+" "+l.Says)
	}
	if e.Pool != "" {
		text := fmt.Sprintf("%s, strategy %s", e.Pool, e.Strategy)
		if e.HashKey != "" {
			text += " of " + e.HashKey
		}
		about(p, "pool", strings.TrimSuffix(text, ", strategy "))
	}
	about(p, "asked", fmt.Sprintf("loop %d, configuration %d", e.Loop, e.Config))
	printCandidates(p, e.Backends)
	printHead(p, e)
	printHeld(p, e.Settings)
	for _, note := range e.Notes {
		about(p, "note", note)
	}
}

// outcomeOf returns what happens to the request, in words.
func outcomeOf(e api.Explained) (string, tint) {
	switch {
	case e.Answer != nil:
		text := fmt.Sprintf("lb answers %d %s", e.Answer.Status, http.StatusText(e.Answer.Status))
		if e.Answer.GRPCStatus > 0 {
			text += fmt.Sprintf(", as gRPC status %d", e.Answer.GRPCStatus)
		}
		if len(e.Answer.Fields) > 0 {
			text += ", " + strings.Join(e.Answer.Fields, ", ")
		}
		if e.Answer.Status >= 400 {
			return text, red
		}
		return text, plain
	case e.Outcome == api.ToQueue:
		return "no backend yet: it waits", yellow
	case e.Settled:
		return e.Choice, green
	}
	return e.Choice + " (this time)", green
}

// routesShown is how many routes that do not take the request are shown.
const routesShown = 20

// printRoutes writes the route that takes the request, and why the others do not.
func printRoutes(p page, e api.Explained) {
	taken := "none takes it"
	if e.Route == 0 && e.Pool != "" {
		taken += ", so the pool default does"
	}
	var others [][]cell
	for _, r := range e.Routes {
		if r.Taken {
			taken = fmt.Sprintf("%d: %s -> %s", r.Number, r.Name, r.To)
		} else {
			others = append(others, cells(strings.Repeat(" ", explainWide)+strconv.Itoa(r.Number), r.Name, r.To, r.Why))
		}
	}
	about(p, "route", taken)
	for _, r := range e.Readings {
		to := "no route"
		if r.Route > 0 {
			to = "route " + strconv.Itoa(r.Route)
		}
		about(p, "", fmt.Sprintf("%s: %s, %s", r.Form, r.Path, to))
	}
	if len(others) > 0 {
		title := cells(strings.Repeat(" ", explainWide)+"OTHERS", "ROUTE", "LEADS TO", "WHY NOT")
		p.table(append([][]cell{title}, others[:min(routesShown, len(others))]...), 1, 2, 3)
	}
	if more := len(others) - routesShown; more > 0 {
		about(p, "", fmt.Sprintf("and %d more (--json has all)", more))
	}
}

// printCandidates writes a table of the pool's backends.
func printCandidates(p page, list []api.ExplainedBackend) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	rows := [][]cell{cells("", "BACKEND", "STATE", "WEIGHT", "IN FLIGHT", "REASON")}
	for _, b := range list {
		mark, weight, load := "", strconv.FormatUint(b.Weight, 10), grouped(b.InFlight)
		if b.Percent != 100 {
			weight += fmt.Sprintf(" (%d %% of it)", b.Percent)
		}
		if b.MaxConnections > 0 {
			load += " of " + grouped(b.MaxConnections)
		}
		if b.Chosen {
			mark = "->"
		}
		row := cells(mark, b.Address, words.Health(b.State), weight, load, b.Why)
		if !b.Candidate {
			row[2].tint = yellow
		}
		rows = append(rows, row)
	}
	p.table(rows, 1)
}

// printHead writes the head that the backend would get.
func printHead(p page, e api.Explained) {
	if e.Head == "" {
		return
	}
	fmt.Fprintln(p.w)
	added := map[string]bool{}
	for _, line := range e.Added {
		added[line] = true
	}
	word := "sent"
	for line := range strings.Lines(e.Head) {
		line = strings.TrimSuffix(line, "\n")
		mark := "  "
		if added[line] {
			mark = "+ "
		}
		p.line(fmt.Sprintf("%-*s%s", explainWide, word, mark), words.Clean(line))
		word = ""
	}
	for _, line := range e.Dropped {
		p.line(fmt.Sprintf("%-*s- ", explainWide, ""), words.Clean(line))
	}
}

// printHeld writes the settings that hold, those of a table in one line.
func printHeld(p page, list []api.ExplainedSetting) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	var held []string
	for i, s := range list {
		table, key := splitKey(s.Key)
		held = append(held, key+" "+s.Value)
		if i+1 < len(list) {
			if next, _ := splitKey(list[i+1].Key); next == table {
				continue
			}
		}
		about(p, tableWord(table), strings.Join(held, ", "))
		held = nil
	}
}

// splitKey returns the table of a path and what is below it.
func splitKey(path string) (table, key string) {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)], path[i+1:]
}

// tableWord returns the name of a table as it begins a line.
func tableWord(table string) string {
	if table == "" {
		return "settings"
	}
	if _, after, ok := strings.Cut(table, "]."); ok {
		return after
	} else if strings.HasSuffix(table, "]") {
		return "pool"
	}
	return table
}
