package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// README's figures stand between these; the file is that of a report's JSON,
// seen from README's directory.
const (
	markBegin = "<!-- bench:begin "
	markClose = " -->"
	markEnd   = "<!-- bench:end -->"
)

// fillIn returns text with what stands between the markers made again, and how
// many such places there are. read returns the report of a file.
func fillIn(text string, read func(file string) (*Report, error)) (filled string, places int, err error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, markBegin)
		b.WriteString(before)
		if !ok {
			return b.String(), places, nil
		}
		file, rest, ok := strings.Cut(rest, markClose)
		if !ok || strings.Contains(file, "\n") {
			return "", 0, errors.New("a " + markBegin + "without its" + markClose)
		}
		_, after, ok := strings.Cut(rest, markEnd)
		if !ok {
			return "", 0, fmt.Errorf("%s%s: no %s", markBegin, file, markEnd)
		}
		r, err := read(file)
		if err != nil {
			return "", 0, err
		}
		fmt.Fprintf(&b, "%s%s%s\n%s%s", markBegin, file, markClose, r.readmeText(file), markEnd)
		text = after
		places++
	}
}

// summary names the cases that README shows, in its own words.
var summary = []struct{ name, words string }{
	{"small", "128 B answers"},
	{"kb16", "16 KiB answers"},
	{"kb64", "64 KiB answers"},
	{"mb1", "1 MiB answers"},
	{"close", "a new conn per request"},
	{"idle", "memory per idle conn, bytes"},
}

// summarized returns the proxies that README shows of a case: lb in its default
// mode, nginx and HAProxy with the buffers that cost them least, and the relay.
// A proxy that took no part is nil.
func (c *Case) summarized() []*Proxy {
	lb := c.proxy("lb-mp")
	if lb == nil {
		lb = c.proxy("lb-mt")
	}
	return []*Proxy{lb, c.cheapest("nginx"), c.cheapest("haproxy"), c.proxy("relay")}
}

// summaryTable is a row for each case of the summary that lb took part in.
func (r *Report) summaryTable() table {
	t := table{{"CPU time per request, µs", "lb", "nginx", "HAProxy", "byte relay", "lb / nginx", "lb / HAProxy"}}
	for _, s := range summary {
		c := r.find(s.name)
		if c == nil || c.summarized()[0] == nil {
			continue
		}
		pick, write := cpuOf, number
		if c.isIdle() {
			pick, write = idleOf, func(x float64) string { return fmt.Sprintf("%.0f", x) }
		}
		proxies, row := c.summarized(), []string{s.words}
		for _, p := range proxies {
			if p == nil {
				row = append(row, "")
			} else {
				row = append(row, write(of(p.Rounds, pick).median))
			}
		}
		for _, p := range proxies[1:3] {
			if p == nil {
				row = append(row, "")
			} else {
				row = append(row, comparison(proxies[0], p, pick))
			}
		}
		t = append(t, row)
	}
	return t
}

// plotSummary draws the CPU times of README's table.
func (r *Report) plotSummary(w io.Writer) error {
	var cases []*Case
	var shares []float64
	for _, s := range summary {
		c := r.find(s.name)
		if c == nil || c.isIdle() || c.best() == nil || c.summarized()[0] == nil {
			continue
		}
		named := *c
		named.Name, named.About = s.words, ""
		cases = append(cases, &named)
		shares = append(shares, ratio(c.summarized()[0].Rounds, c.best().Rounds, cpuOf).median)
	}
	present := func(c *Case) []*Proxy {
		return slices.DeleteFunc(c.summarized(), func(p *Proxy) bool { return p == nil })
	}
	c := costChart(cases, present, (*Case).best, "the better of nginx and HAProxy")
	for i := range c.Panels {
		c.Panels[i].Rows[0].Name = "lb" // in its default mode
	}
	c.Title = "CPU time per request"
	if s := spreadOf(shares); s.max > 0 {
		c.Title = fmt.Sprintf("CPU time: lb needs %.0f to %s of what the better of nginx and HAProxy needs", 100*s.min, percent(s.max))
	}
	return c.WriteSVG(w)
}

// readmeText is what README shows of the report in file.
func (r *Report) readmeText(file string) string {
	var b strings.Builder
	base := strings.TrimSuffix(file, ".json")
	fmt.Fprintf(&b, "%s\n![CPU time per request of lb, nginx, HAProxy and a byte relay](%s-summary.svg)\n\n", r.summaryTable(), base)
	fmt.Fprintf(&b, "Medians of %d rounds of %g s, and in parentheses the range of the ratios within the rounds. nginx and HAProxy\n"+
		"have the cheaper of two buffer sizes; the relay copies bytes and reads no HTTP. Measured on a %s\n"+
		"with %d CPUs (%s); see [%s](%s) for the whole report.\n",
		r.Rounds, r.Seconds, r.Machine.kind(), r.Machine.CPUs, r.Machine.CPU, docsFile, docsFile)
	return b.String()
}

// docsFile is the whole report, seen from README's directory.
const docsFile = "docs/benchmarks.md"

// publish writes the figures of the files readme and docs; "" is none. report is
// the file of the report, and "" in a README is the one that it names.
func publish(readme, docs, report string) error {
	var err1, err2 error
	if readme != "" {
		err1 = rewriteReadme(readme, report)
	}
	if docs != "" {
		err2 = writeDocs(docs, report)
	}
	return errors.Join(err1, err2)
}

// writeDocs writes the whole report to the file docs.
func writeDocs(docs, report string) error {
	r, err := readReport(report)
	if err != nil {
		return err
	}
	name, err := seenFrom(filepath.Dir(docs), report)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := r.writeMarkdown(&b, strings.TrimSuffix(name, ".json")); err != nil {
		return err
	}
	return os.WriteFile(docs, b.Bytes(), 0o644)
}

// seenFrom returns the path of a file relative to dir, with slashes.
func seenFrom(dir, file string) (string, error) {
	dir, err1 := filepath.Abs(dir)
	file, err2 := filepath.Abs(file)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	name, err := filepath.Rel(dir, file)
	return filepath.ToSlash(name), err
}

// rewriteReadme makes the figures of the README in file again. With report, a
// file, that is what the figures are from now on.
func rewriteReadme(file, report string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	text := string(b)
	if report != "" {
		if text, err = renameReport(text, dir, report); err != nil {
			return err
		}
	}
	filled, places, err := fillIn(text, func(name string) (*Report, error) { return readReport(filepath.Join(dir, name)) })
	if err != nil {
		return err
	}
	if places == 0 {
		return fmt.Errorf("%s has no %sFILE%s", file, markBegin, markClose)
	}
	return os.WriteFile(file, []byte(filled), 0o644)
}

// renameReport has every marker in text name report, as seen from dir.
func renameReport(text, dir, report string) (string, error) {
	name, err := seenFrom(dir, report)
	if err != nil {
		return "", err
	}
	pieces := strings.Split(text, markBegin)
	for i, p := range pieces[1:] {
		_, rest, _ := strings.Cut(p, markClose)
		pieces[i+1] = name + markClose + rest
	}
	return strings.Join(pieces, markBegin), nil
}
